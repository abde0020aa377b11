import { describe, expect, it } from "vitest";

import type { Schemas } from "@/api/client";

import { lengthOf, partsOf, pointerTo, withPart } from "./parts";

const excerpt = (
  pointer: string,
  value: unknown,
  total: number | null,
  more: Partial<Schemas["Excerpt"]> = {},
) => ({
  pointer,
  value,
  total,
  offset: 0,
  kind: "list" as const,
  cut: [],
  ...more,
});

describe("a value in parts", () => {
  it("knows where it goes on", () => {
    const cut = [{ pointer: "/0/text", kind: "text" as const, total: 5000 }];
    const parts = partsOf(excerpt("", [{ text: "abc" }], 3, { cut }));
    expect([...parts.cut]).toEqual([
      ["/0/text", 5000],
      ["", 3],
    ]);
    expect(partsOf(excerpt("", 5, null)).cut.size).toBe(0);
  });

  it("adds items, fields and characters where they belong", () => {
    const cut = [
      { pointer: "/list", kind: "list" as const, total: 3 },
      { pointer: "/a~1b/text", kind: "text" as const, total: 4 },
    ];
    let parts = partsOf(excerpt("", { list: [1, 2], "a/b": { text: "ab" } }, 2, { cut }));
    parts = withPart(parts, excerpt("/list", [3], 3));
    parts = withPart(parts, excerpt("/a~1b/text", "cd", 4));
    expect(parts).toEqual({ value: { list: [1, 2, 3], "a/b": { text: "abcd" } }, cut: new Map() });
  });

  it("goes on when there is still more, and takes what is cut in the new part", () => {
    const parts = withPart(partsOf(excerpt("", [1], 5)), {
      ...excerpt("", [{ t: "x" }], 5),
      cut: [{ pointer: "/1/t", kind: "text", total: 9 }],
    });
    expect([...parts.cut]).toEqual([
      ["/1/t", 9],
      ["", 5],
    ]);
  });

  it("counts characters as the API does", () => {
    expect([lengthOf("a😀"), lengthOf([1, 2]), lengthOf({ a: 1 }), lengthOf(null)]).toEqual([2, 2, 1, 0]);
  });

  it("writes pointers", () => {
    expect(pointerTo("/a", "b/c~d")).toBe("/a/b~1c~0d");
  });
});
