/** The keys of the builder, which work unless somebody is writing. */
import { useEffect } from "react";

import type { Editor } from "../state/context";
import type { Commands } from "./useCommands";

export const SHORTCUTS: readonly (readonly [keys: string, what: string])[] = [
  ["A", "Add a node"],
  ["Tab", "Go from node to node"],
  ["Enter", "Select the node, again for its settings"],
  ["Arrow keys", "Move what is selected; with Shift further"],
  ["C", "Connect the selected node: go to another, press Enter"],
  ["Delete", "Delete what is selected"],
  ["Ctrl C, X, V", "Copy, cut, paste"],
  ["Ctrl D", "Duplicate"],
  ["Ctrl A", "Select all"],
  ["Ctrl Z, Ctrl Shift Z", "Undo, redo"],
  ["Shift and drag", "Select an area"],
  ["L", "Tidy the layout"],
  ["F", "Fit the view"],
  ["R", "Run"],
  ["Escape", "Stop, deselect"],
  ["?", "These keys"],
];

export interface Screen {
  openPalette: () => void;
  openSettings: () => void;
  startConnecting: () => void;
  /** Stop connecting, if somebody is; false if not. */
  stopConnecting: () => boolean;
  run: () => void;
  fit: () => void;
  help: () => void;
}

/** Whether keys are somebody's text, or belong to a dialog. */
function isTaken(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  const isField = target.matches("input, textarea, select, [contenteditable='true']");
  return isField || target.closest("[role='dialog'], [role='menu'], [role='listbox'], .cm-editor") !== null;
}

type Keys = Record<string, (() => void) | undefined>;

export function useShortcuts(editor: Editor, commands: Commands, screen: Screen): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (isTaken(event.target) || event.altKey) return;
      const withCommand = event.ctrlKey || event.metaKey;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const plain: Keys = {
        a: screen.openPalette,
        c: screen.startConnecting,
        l: () => void commands.layOut(),
        f: screen.fit,
        r: screen.run,
        "?": screen.help,
        Delete: commands.removeSelected,
        Backspace: commands.removeSelected,
        Escape: () => {
          if (!screen.stopConnecting()) editor.select([]);
        },
      };
      const commanded: Keys = {
        z: event.shiftKey ? editor.redo : editor.undo,
        y: editor.redo,
        d: commands.duplicate,
        a: commands.selectAll,
      };
      const action = (withCommand ? commanded : plain)[key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    const onCopy = (event: ClipboardEvent) => {
      const text = isTaken(event.target) || !document.getSelection()?.isCollapsed ? null : commands.copy();
      if (text === null) return;
      event.clipboardData?.setData("text/plain", text);
      event.preventDefault();
      if (event.type === "cut") commands.removeSelected();
    };
    const onPaste = (event: ClipboardEvent) => {
      if (isTaken(event.target)) return;
      if (commands.paste(event.clipboardData?.getData("text/plain") ?? "")) event.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    document.addEventListener("copy", onCopy);
    document.addEventListener("cut", onCopy);
    document.addEventListener("paste", onPaste);
    return () => {
      document.removeEventListener("keydown", onKey);
      document.removeEventListener("copy", onCopy);
      document.removeEventListener("cut", onCopy);
      document.removeEventListener("paste", onPaste);
    };
  }, [editor, commands, screen]);
}
