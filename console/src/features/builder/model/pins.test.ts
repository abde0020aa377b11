import { describe, expect, it } from "vitest";

import { readGraph } from "@/ui/graph/graph";

import { fieldsToPin, firstInLoop, firstPath, pinText, trialOf } from "./pins";

const graph = readGraph({
  nodes: [
    { id: "in", type: "input", label: "Question" },
    { id: "a", type: "process", label: "First", config: { expression: "data" } },
    {
      id: "b",
      type: "process",
      config: { expression: 'nodes.in.output + nodes["a"].output + nodes.nobody.output' },
    },
    { id: "each", type: "loop", config: {} },
    { id: "x", type: "process", parentId: "each", config: { expression: "item + input.rate" } },
    { id: "y", type: "process", parentId: "each", config: {} },
  ],
  connections: [
    { from: "in", to: "a" },
    { from: "a", to: "b" },
    { from: "b", to: "each" },
    { from: "x", to: "y" },
  ],
});
const labels = (id: string) => fieldsToPin(graph, id).map(({ label }) => label);

describe("fieldsToPin", () => {
  it("has the run's input for a node with nothing before it", () => {
    expect(labels("in")).toEqual(["Input of the run"]);
  });

  it("has the nodes before it, and those that its settings read, once each", () => {
    expect(labels("a")).toEqual(["Output of Question"]);
    expect(labels("b")).toEqual(["Output of First", "Output of Question"]);
  });

  it("has the item in a loop, and the input if it is read", () => {
    expect(labels("x")).toEqual(["Item of the loop", "Input of the run"]);
    expect(labels("y")).toEqual(["Output of x", "Item of the loop"]);
  });
});

describe("firstPath", () => {
  it("names the first iteration of the loops around a node", () => {
    expect([firstPath(graph, "a"), firstPath(graph, "y")]).toEqual(["", "0"]);
    expect([firstInLoop(graph, "a"), firstInLoop(graph, "y")]).toEqual([null, "x"]);
  });
});

describe("trialOf", () => {
  it("sorts the values into pinned outputs, input and item", () => {
    expect(trialOf(fieldsToPin(graph, "y"), { "output x": '{"n": 1}', item: '"third"' })).toEqual({
      trial: { pinned: { x: { n: 1 } }, item: "third", input: null },
    });
  });

  it("tells at its field what is no JSON, and takes an empty text as null", () => {
    const found = trialOf(fieldsToPin(graph, "b"), { "output a": "{", "output in": " " });
    expect(found).toEqual({ errors: { "output a": expect.stringMatching(/^This is not JSON/) as string } });
    expect(trialOf(fieldsToPin(graph, "a"), {})).toMatchObject({ trial: { pinned: { in: null } } });
  });
});

describe("pinText", () => {
  it("is empty for nothing", () => {
    expect([pinText(null), pinText(0), pinText({ a: 1 })]).toEqual(["", "0", '{\n  "a": 1\n}']);
  });
});
