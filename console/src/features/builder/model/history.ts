/** Undo and redo: what is edited, and what it was before. */

export interface History<T> {
  readonly present: T;
  readonly past: readonly T[];
  readonly future: readonly T[];
  /** What the last edit was about, and when: edits of one text follow each other as one. */
  readonly last: { readonly key: string; readonly at: number } | null;
}

const MAX_STEPS = 200;
const TOGETHER_MS = 1500;

export function historyOf<T>(present: T): History<T> {
  return { present, past: [], future: [], last: null };
}

/** The history after an edit. Edits with the same `key` that follow quickly are undone together. */
export function edited<T>(history: History<T>, present: T, at: number, key?: string): History<T> {
  if (present === history.present) return history;
  const { last } = history;
  const continues = key !== undefined && last?.key === key && at - last.at < TOGETHER_MS;
  const past = continues ? history.past : [...history.past, history.present].slice(-MAX_STEPS);
  return { present, past, future: [], last: key === undefined ? null : { key, at } };
}

export function undone<T>(history: History<T>): History<T> {
  const before = history.past.at(-1);
  if (before === undefined) return history;
  return {
    present: before,
    past: history.past.slice(0, -1),
    future: [history.present, ...history.future],
    last: null,
  };
}

export function redone<T>(history: History<T>): History<T> {
  const [next, ...future] = history.future;
  if (next === undefined) return history;
  return { present: next, past: [...history.past, history.present], future, last: null };
}
