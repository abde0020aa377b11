import { useCallback, useRef } from "react";

/** The key of a change: the same as before if its content is, so that a repeat after a lost answer does nothing twice. */
export function useIdempotencyKey(): (content?: unknown) => string {
  const last = useRef<{ content: string; key: string } | null>(null);
  return useCallback((content: unknown = null) => {
    const text = JSON.stringify(content);
    if (last.current?.content !== text) last.current = { content: text, key: crypto.randomUUID() };
    return last.current.key;
  }, []);
}
