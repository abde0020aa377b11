import { describe, expect, it } from "vitest";

import { readGraph } from "@/ui/graph/graph";

import { completionsAt, scopeOf, shortened, stepsOf, valueAt } from "./scope";

const GRAPH = readGraph({
  nodes: [
    { id: "fetch", type: "api_call" },
    { id: "other-call", type: "api_call" },
    { id: "join", type: "merge" },
    { id: "each", type: "loop", config: { items: "{{ nodes.fetch.output.rows }}" } },
    { id: "row", type: "process", parentId: "each" },
    { id: "pick", type: "process", config: { operation: "reduce", initial: 0 } },
  ],
  connections: [
    { from: "fetch", to: "join" },
    { from: "other-call", to: "join" },
    { from: "fetch", to: "each" },
    { from: "fetch", to: "pick" },
  ],
});
const RUN = {
  id: "run",
  input: { name: "Ada" },
  outputs: new Map<string, unknown>([
    ["fetch", { rows: [{ id: 7, "full name": "Ada L" }] }],
    ["other-call", "hello"],
  ]),
};

describe("the variables of a node", () => {
  it("have the output before it as data, or those of several by node", () => {
    expect(scopeOf(GRAPH, "each", RUN).data).toEqual({ rows: [{ id: 7, "full name": "Ada L" }] });
    expect(scopeOf(GRAPH, "join", RUN).data).toEqual({
      fetch: RUN.outputs.get("fetch"),
      "other-call": "hello",
    });
    expect(scopeOf(GRAPH, "fetch", RUN).data).toEqual({ name: "Ada" });
  });

  it("have the first item inside of a loop", () => {
    expect(scopeOf(GRAPH, "row", RUN)).toMatchObject({ item: { id: 7 }, index: 0, data: { id: 7 } });
    expect(scopeOf(GRAPH, "row", RUN).nodes).toEqual({ fetch: { output: RUN.outputs.get("fetch") } });
  });

  it("have what list operations have", () => {
    expect(scopeOf(GRAPH, "pick", RUN)).toMatchObject({ accumulator: 0, index: 0 });
    expect(scopeOf(GRAPH, "fetch", RUN)).not.toHaveProperty("item");
  });
});

describe("completion", () => {
  const scope = scopeOf(GRAPH, "join", RUN);
  const labels = (before: string) => completionsAt(before, scope)?.options.map(({ label }) => label);

  it("offers variables, nodes, and the keys of values", () => {
    expect(labels("in")).toContain("input");
    expect(labels("nodes.")).toEqual(["fetch", "other-call"]);
    expect(labels("1 + nodes.fetch.output.")).toEqual(["rows"]);
    expect(labels("nodes.fetch.output?.rows[0].")).toEqual(["id", "full name"]);
    expect(labels("input.na")).toEqual(["name"]);
    expect(labels("nodes.fetch.output.rows.")).toEqual(["length"]);
  });

  it("writes keys that are no identifiers in brackets, but ids of nodes as they are", () => {
    const [, name] = completionsAt("nodes.fetch.output.rows[0].", scope)?.options ?? [];
    expect(name?.apply).toBe('["full name"]');
    expect(completionsAt("nodes.", scope)?.options[1]?.apply).toBe("other-call");
    expect(completionsAt("input.na", scope)?.from).toBe(6);
  });

  it("offers nothing after what it does not know", () => {
    expect(completionsAt("nodes.gone.output.", scope)).toBeNull();
    expect(completionsAt("foo().", scope)).toBeNull();
  });

  it("reads paths and shortens values", () => {
    expect(stepsOf('nodes["a b"].output.rows[0]')).toEqual(["nodes", "a b", "output", "rows", "0"]);
    expect(valueAt({ a: [1] }, ["a", "0"])).toBe(1);
    expect(valueAt({}, ["toString"])).toBeUndefined();
    expect([shortened([1, 2]), shortened("x".repeat(50)).length]).toEqual(["list of 2", 40]);
  });
});
