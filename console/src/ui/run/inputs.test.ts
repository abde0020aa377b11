import { describe, expect, it } from "vitest";

import { readGraph } from "@/ui/graph/graph";

import { initialTexts, inputFields, inputOf, problemsOf } from "./inputs";

function graphOf(...configs: Record<string, unknown>[]) {
  const nodes = configs.map((config, index) => ({
    id: `in${index}`,
    type: "input",
    label: `Field ${index}`,
    config,
  }));
  return readGraph({ nodes: [...nodes, { id: "out", type: "output", config: {} }], connections: [] });
}

describe("inputFields", () => {
  it("is empty without input nodes", () => {
    expect(inputFields(graphOf())).toEqual([]);
  });

  it("has one field for the whole input", () => {
    expect(inputFields(graphOf({ inputType: "text", required: true }, { inputType: "json" }))).toEqual([
      { key: null, label: "Field 0", type: "text", required: true, fallback: null },
    ]);
  });

  it("has a field for each key, and needs what one of its nodes needs", () => {
    const fields = inputFields(
      graphOf({ key: "city" }, { key: "city", required: true }, { key: "days", inputType: "number" }),
    );
    expect(fields.map(({ key, type, required }) => [key, type, required])).toEqual([
      ["city", "any", true],
      ["days", "number", false],
    ]);
  });

  it("does not need what has a default, and tells the default", () => {
    expect(inputFields(graphOf({ required: true, default: [] }))[0]).toMatchObject({
      required: false,
      fallback: "[]",
    });
  });
});

describe("initialTexts", () => {
  it("are what the last run got, else the defaults", () => {
    const fields = inputFields(graphOf({ key: "a", default: { b: 1 } }, { key: "c" }));
    expect(initialTexts(fields, { a: "last" })).toEqual({ a: "last", c: "" });
    expect(initialTexts(fields, "another input")).toEqual({ a: '{\n  "b": 1\n}', c: "" });
  });

  it("are read as the values that they were made of", () => {
    for (const value of ["12", 12, "words", '{"a": 1}', { a: [1, null] }, true, '"quoted"']) {
      const fields = inputFields(graphOf({}));
      expect(inputOf(fields, initialTexts(fields, value))).toEqual(value);
    }
  });
});

describe("problemsOf", () => {
  const fields = inputFields(
    graphOf({ key: "n", inputType: "number" }, { key: "j", inputType: "json" }, { key: "t", required: true }),
  );

  it("tells what is missing or cannot be read, at its field", () => {
    expect(problemsOf(fields, { n: "x", j: "{", t: " " })).toEqual({
      n: "Write a number, such as 12.5.",
      j: expect.stringContaining("This is not JSON: ") as string,
      t: "This workflow needs it.",
    });
    expect(problemsOf(fields, { n: "1.5", j: "{}", t: "a" })).toEqual({});
  });
});

describe("inputOf", () => {
  it("is the value itself for a field of the whole input", () => {
    expect(inputOf(inputFields(graphOf({ inputType: "text" })), { "": "12" })).toBe("12");
    expect(inputOf(inputFields(graphOf({ inputType: "json" })), { "": "[1]" })).toEqual([1]);
    expect(inputOf(inputFields(graphOf({ inputType: "number" })), { "": "2.5" })).toBe(2.5);
    expect(inputOf(inputFields(graphOf({})), { "": "plain words" })).toBe("plain words");
    expect(inputOf(inputFields(graphOf({})), { "": '{"a":1}' })).toEqual({ a: 1 });
  });

  it("is an object of what was given, and null if nothing was", () => {
    const fields = inputFields(graphOf({ key: "city" }, { key: "days", inputType: "number" }));
    expect(inputOf(fields, { city: "Oslo", days: "" })).toEqual({ city: "Oslo" });
    expect(inputOf(fields, {})).toBeNull();
  });

  it("keeps all digits of a large number", () => {
    expect(inputOf(inputFields(graphOf({ inputType: "number" })), { "": "9007199254740993" })).toBe(
      "9007199254740993",
    );
  });
});
