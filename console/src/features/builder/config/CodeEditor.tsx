/** A field of code. Loaded when the first one is shown. */
import { EditorState } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { useEffect, useEffectEvent, useRef } from "react";

import type { Scope } from "../model/scope";
import { type EditorMode, extensionsOf } from "./codemirror";
import classes from "./config.module.css";

export interface CodeEditorProps {
  value: string;
  onChange: (text: string) => void;
  mode: EditorMode;
  label: string;
  describedBy?: string | undefined;
  hint?: string | undefined;
  scope: Scope;
  isSingleLine?: boolean;
  isReadOnly?: boolean;
  isInvalid?: boolean;
}

export default function CodeEditor(props: CodeEditorProps) {
  const {
    value,
    mode,
    label,
    describedBy,
    hint = "",
    isSingleLine = false,
    isReadOnly = false,
    isInvalid,
  } = props;
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const onChange = useEffectEvent((text: string) => props.onChange(text));
  const scope = useEffectEvent(() => props.scope);
  const first = useEffectEvent(() => value);

  useEffect(() => {
    const made = new EditorView({
      state: EditorState.create({
        doc: first(),
        extensions: extensionsOf({
          mode,
          isSingleLine,
          isReadOnly,
          hint,
          attributes: { "aria-label": label, ...(describedBy ? { "aria-describedby": describedBy } : {}) },
          scope: () => scope(),
          onChange: (text) => onChange(text),
        }),
      }),
      ...(place.current ? { parent: place.current } : {}),
    });
    view.current = made;
    return () => made.destroy();
  }, [mode, isSingleLine, isReadOnly, hint, label, describedBy]);

  // Another value, such as after an undo, replaces the text.
  useEffect(() => {
    const now = view.current;
    if (!now || now.state.doc.toString() === value) return;
    now.dispatch({ changes: { from: 0, to: now.state.doc.length, insert: value } });
  }, [value]);

  return (
    <div
      ref={place}
      className={classes.code}
      data-invalid={isInvalid ? "" : undefined}
      data-lines={isSingleLine ? "one" : "many"}
    />
  );
}
