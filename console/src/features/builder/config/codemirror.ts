/** CodeMirror for expressions: marks them in texts, and completes them from the last run's data. */
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  type CompletionContext,
  completionKeymap,
  type CompletionResult,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { javascript } from "@codemirror/lang-javascript";
import { json } from "@codemirror/lang-json";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState, type Extension } from "@codemirror/state";
import {
  Decoration,
  drawSelection,
  EditorView,
  keymap,
  MatchDecorator,
  placeholder,
  ViewPlugin,
  type ViewUpdate,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";

import { expressionBefore, FUNCTIONS } from "../model/expressions";
import type { ExpressionMode } from "../model/schema-form";
import { completionsAt, type Scope } from "../model/scope";

export type EditorMode = ExpressionMode | "json";

const COLOURS = HighlightStyle.define([
  { tag: [tags.keyword, tags.bool, tags.null], color: "var(--af-queued)" },
  { tag: [tags.string, tags.regexp], color: "var(--af-success)" },
  { tag: tags.number, color: "var(--af-waiting)" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--af-accent)" },
  { tag: tags.comment, color: "var(--af-text-dim)" },
]);

const LOOKS = EditorView.theme({
  "&": { fontSize: "0.8125rem", backgroundColor: "transparent" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mantine-font-family-monospace)", lineHeight: "1.5" },
  ".cm-content": { padding: "8px 0", caretColor: "var(--mantine-color-text)" },
  ".cm-line": { padding: "0 10px" },
  ".cm-cursor": { borderLeftColor: "var(--mantine-color-text)" },
  ".cm-placeholder": { color: "var(--af-text-dim)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--af-accent) 25%, transparent)",
  },
  ".cm-expression": {
    backgroundColor: "var(--af-accent-soft)",
    borderRadius: "4px",
    color: "var(--af-accent)",
  },
  ".cm-tooltip": {
    border: "1px solid var(--af-line)",
    borderRadius: "10px",
    overflow: "hidden",
    color: "var(--mantine-color-text)",
    backgroundColor: "var(--af-surface)",
    boxShadow: "var(--af-shadow)",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": {
    fontFamily: "var(--mantine-font-family-monospace)",
    maxHeight: "15em",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "4px 10px", lineHeight: "1.5" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": {
    color: "var(--af-accent)",
    backgroundColor: "var(--af-accent-soft)",
  },
  ".cm-completionDetail": { color: "var(--af-text-dim)", fontStyle: "normal", marginLeft: "1em" },
  ".cm-completionIcon": { display: "none" },
  ".cm-matchingBracket": { backgroundColor: "var(--af-accent-soft) !important" },
});

const marker = new MatchDecorator({
  regexp: /\{\{[^}]*(?:\}(?!\})[^}]*)*\}\}/g,
  decoration: Decoration.mark({ class: "cm-expression" }),
});

const marksExpressions = ViewPlugin.define(
  (view) => ({
    decorations: marker.createDeco(view),
    update(update: ViewUpdate) {
      this.decorations = marker.updateDeco(update, this.decorations);
    },
  }),
  { decorations: (plugin) => plugin.decorations },
);

function completionSource(mode: ExpressionMode, scopeNow: () => Scope) {
  return ({ state, pos, explicit }: CompletionContext): CompletionResult | null => {
    const before = expressionBefore(state.doc.toString(), pos, mode);
    if (before === null) return null;
    const found = completionsAt(before, scopeNow());
    if (!found) return null;
    const from = pos - (before.length - found.from);
    const isPath = before[found.from - 1] === ".";
    if (!explicit && !isPath && from === pos) return null;
    const values = found.options.map(({ label, detail, apply }) => ({
      label,
      detail,
      type: "variable",
      boost: 1,
      apply: (view: EditorView, _: unknown, start: number, end: number) => {
        // A key that needs brackets has no dot before it.
        const first = apply.startsWith("[") && isPath ? start - 1 : start;
        view.dispatch({
          changes: { from: first, to: end, insert: apply },
          selection: { anchor: first + apply.length },
        });
      },
    }));
    const functions = isPath
      ? []
      : Object.entries(FUNCTIONS).map(([label, detail]) => ({ label, detail, type: "function" }));
    return { from, options: [...values, ...functions], validFor: /^[\w$-]*$/ };
  };
}

interface Options {
  mode: EditorMode;
  isSingleLine: boolean;
  isReadOnly: boolean;
  hint: string;
  attributes: Record<string, string>;
  scope: () => Scope;
  onChange: (text: string) => void;
}

export function extensionsOf({
  mode,
  isSingleLine,
  isReadOnly,
  hint,
  attributes,
  scope,
  onChange,
}: Options): Extension {
  const languages: Partial<Record<EditorMode, Extension>> = {
    json: [json(), marksExpressions],
    template: marksExpressions,
  };
  const completes = mode === "json" ? "template" : mode;
  return [
    history(),
    drawSelection(),
    bracketMatching(),
    closeBrackets(),
    EditorView.lineWrapping,
    syntaxHighlighting(COLOURS),
    LOOKS,
    languages[mode] ?? javascript(),
    autocompletion({ override: [completionSource(completes, scope)], icons: false, defaultKeymap: true }),
    EditorView.contentAttributes.of(attributes),
    hint === "" ? [] : placeholder(hint),
    EditorState.readOnly.of(isReadOnly),
    isSingleLine
      ? EditorState.transactionFilter.of((change) => (change.newDoc.lines > 1 ? [] : [change]))
      : [],
    // Tab leaves the field, so that the keyboard gets past it.
    keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) onChange(update.state.doc.toString());
    }),
  ];
}
