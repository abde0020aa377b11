/** A large JSON value of which the API has sent parts, and where it goes on. */
import type { Schemas } from "@/api/client";

type Excerpt = Schemas["Excerpt"];

export interface Parts {
  value: unknown;
  /** How long the values at these JSON pointers are, of which only the beginning is here. */
  cut: ReadonlyMap<string, number>;
}

export function partsOf(excerpt: Excerpt): Parts {
  const cut = new Map(excerpt.cut.map(({ pointer, total }) => [pointer, total]));
  if (excerpt.total !== null && lengthOf(excerpt.value) < excerpt.total)
    cut.set(excerpt.pointer, excerpt.total);
  return { value: excerpt.value, cut };
}

/** How many items, fields or characters of a value are here; the API counts characters, not UTF-16 units. */
export function lengthOf(value: unknown): number {
  if (typeof value === "string") return Array.from(value).length;
  return typeof value === "object" && value !== null ? Object.keys(value).length : 0;
}

export function pointerTo(parent: string, name: string): string {
  return `${parent}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** The value with what follows at the excerpt's pointer. */
export function withPart(parts: Parts, excerpt: Excerpt): Parts {
  const cut = new Map(parts.cut);
  cut.delete(excerpt.pointer);
  for (const { pointer, total } of excerpt.cut) cut.set(pointer, total);
  const tokens = excerpt.pointer.split("/").slice(1);
  const names = tokens.map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
  let whole = 0;
  const value = changedAt(parts.value, names, (known) => {
    const joined = join(known, excerpt.value);
    whole = lengthOf(joined);
    return joined;
  });
  if (excerpt.total !== null && whole < excerpt.total) cut.set(excerpt.pointer, excerpt.total);
  return { value, cut };
}

function join(known: unknown, more: unknown): unknown {
  if (typeof known === "string" && typeof more === "string") return known + more;
  if (Array.isArray(known) && Array.isArray(more)) return [...(known as unknown[]), ...(more as unknown[])];
  if (typeof known === "object" && typeof more === "object") return { ...known, ...more };
  return more;
}

function changedAt(
  value: unknown,
  [name, ...rest]: readonly string[],
  change: (value: unknown) => unknown,
): unknown {
  if (name === undefined) return change(value);
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) =>
      String(index) === name ? changedAt(item, rest, change) : item,
    );
  }
  const members = value as Record<string, unknown>;
  return { ...members, [name]: changedAt(members[name], rest, change) };
}
