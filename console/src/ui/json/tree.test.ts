import { describe, expect, it } from "vitest";

import { childrenOf, kindOf, summaryOf, textOf } from "./tree";

describe("the tree of a JSON value", () => {
  it.each([
    [null, "null"],
    [undefined, "null"],
    [[], "array"],
    [{}, "object"],
    ["", "string"],
    [0, "number"],
    [false, "boolean"],
  ])("knows the kind of %s", (value, kind) => {
    expect(kindOf(value)).toBe(kind);
  });

  it("has the children of objects and arrays", () => {
    expect(childrenOf({ a: 1 })).toEqual([["a", 1]]);
    expect(childrenOf(["x"])).toEqual([["0", "x"]]);
    expect(childrenOf("text")).toEqual([]);
  });

  it.each([
    [[1], "1 item"],
    [Array.from({ length: 1200 }), "1,200 items"],
    [{ a: 1, b: 2 }, "2 fields"],
    [{}, "0 fields"],
  ])("sums up what is closed", (value, text) => {
    expect(summaryOf(value)).toBe(text);
  });

  it("counts what is not here too", () => {
    expect(summaryOf([1], 5000)).toBe("5,000 items");
  });

  it("copies texts as they are and the rest as JSON", () => {
    expect(textOf("<b>")).toBe("<b>");
    expect(textOf({ a: 1 })).toBe('{\n  "a": 1\n}');
    expect(textOf(undefined)).toBe("null");
  });
});
