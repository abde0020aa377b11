/** How a JSON value is shown as a tree, a page of children at a time. */

export const PAGE = 100;
export const MAX_TEXT = 2000;

export type Kind = "object" | "array" | "string" | "number" | "boolean" | "null";

export function kindOf(value: unknown): Kind {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "array";
  const kind = typeof value;
  return kind === "object" || kind === "string" || kind === "number" || kind === "boolean" ? kind : "null";
}

/** The children of an object or an array, by name or index. */
export function childrenOf(value: unknown): [string, unknown][] {
  if (Array.isArray(value)) return value.map((item, index) => [String(index), item as unknown]);
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

/** What a closed object or array says: "3 items", "1 field"; `total` counts those too that are not here. */
export function summaryOf(value: unknown, total?: number): string {
  const count = total ?? childrenOf(value).length;
  const noun = Array.isArray(value) ? "item" : "field";
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** The value as text: a text as it is, anything else as indented JSON. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? null, null, 2);
}
