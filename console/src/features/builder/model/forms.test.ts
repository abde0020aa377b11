import { describe, expect, it } from "vitest";

import { evaluates, expressionBefore } from "./expressions";
import { fieldsOf, hiddenValues, wordsOf } from "./schema-form";

const PROCESS = {
  properties: {
    operation: {
      type: "string",
      enum: ["transform", "format", "sort"],
      default: "transform",
      "x-kind": "choice",
    },
    expression: {
      type: "string",
      maxLength: 8000,
      "x-kind": "expression",
      "x-expressions": "expression",
      "x-when": { operation: ["transform", "format"] },
    },
    order: { type: "string", enum: ["asc", "desc"], "x-when": { operation: ["sort"] } },
    limit: {
      anyOf: [{ type: "integer", minimum: 1, maximum: 50 }, { type: "string" }],
      "x-kind": "number",
      "x-expressions": "template",
      "x-unit": "items",
    },
  },
  required: ["limit"],
  allOf: [
    {
      if: { properties: { operation: { const: "format" } }, required: ["operation"] },
      then: { properties: { expression: { type: "string", "x-kind": "text", "x-expressions": "template" } } },
    },
  ],
};

describe("the form of a schema", () => {
  it("has the fields that the other values allow", () => {
    expect(fieldsOf(PROCESS, {}).map(({ name }) => name)).toEqual(["operation", "expression", "limit"]);
    expect(fieldsOf(PROCESS, { operation: "sort" }).map(({ name }) => name)).toEqual([
      "operation",
      "order",
      "limit",
    ]);
  });

  it("takes kinds, limits and modes from the schema", () => {
    const [, expression, limit] = fieldsOf(PROCESS, {});
    expect(expression).toMatchObject({
      kind: "expression",
      mode: "expression",
      maxLength: 8000,
      required: false,
    });
    expect(limit).toMatchObject({
      kind: "number",
      mode: "template",
      minimum: 1,
      maximum: 50,
      unit: "items",
      required: true,
    });
    expect(
      fieldsOf({ properties: { on: { type: "boolean" }, any: {} } }, {}).map(({ kind }) => kind),
    ).toEqual(["flag", "value"]);
  });

  it("follows what `if` and `then` put in the place of a field", () => {
    const [, expression] = fieldsOf(PROCESS, { operation: "format" });
    expect(expression).toMatchObject({ name: "expression", kind: "text", mode: "template" });
  });

  it("tells values that no field shows", () => {
    expect(hiddenValues(PROCESS, { operation: "sort", expression: "x", other: 1, empty: "" })).toEqual([
      "expression",
      "other",
    ]);
    expect(fieldsOf({}, {})).toEqual([]);
    expect([wordsOf("ai_agent"), wordsOf("maxTokens")]).toEqual(["Ai agent", "Max tokens"]);
  });
});

describe("the place in a text", () => {
  it("is in an expression between its braces", () => {
    expect(expressionBefore("Hello {{ input.na", 17, "template")).toBe(" input.na");
    expect(expressionBefore("Hello {{ input }} you", 20, "template")).toBeNull();
    expect(expressionBefore("input.x", 6, "expression")).toBe("input.");
    expect(expressionBefore("{{ data.", 8, "expression")).toBe(" data.");
  });

  it("has a result to show once there was a run", () => {
    const after = { execution: { id: "run" } };
    expect(evaluates("input", "expression", { execution: { id: "" } })).toBe(false);
    expect(evaluates("input", "expression", after)).toBe(true);
    expect(evaluates("only text", "template", after)).toBe(false);
    expect(evaluates("{{ input }}", "template", after)).toBe(true);
    expect(evaluates(" ", "body", after)).toBe(false);
  });
});
