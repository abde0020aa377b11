import { describe, expect, it } from "vitest";

import { type Graph, readGraph } from "@/ui/graph/graph";

import { apiGraph } from "./api-graph";
import { copied, pasted, readClipboard } from "./clipboard";
import { differenceOf, isUnchanged } from "./diff";
import {
  addNode,
  connect,
  freshId,
  loopAt,
  moveBy,
  moveInto,
  refusal,
  remove,
  setConfig,
  updateNode,
  upstreamOf,
} from "./edits";
import { addAfter } from "./placing";

const GRAPH: Graph = readGraph({
  nodes: [
    { id: "in", type: "input", position: { x: 0, y: 0 } },
    { id: "each", type: "loop", label: "Each", position: { x: 0, y: 120 } },
    {
      id: "call",
      type: "api_call",
      parentId: "each",
      position: { x: 20, y: 190 },
      config: { url: "{{ nodes.in.output }}" },
    },
    {
      id: "sum",
      type: "process",
      parentId: "each",
      position: { x: 20, y: 310 },
      config: { expression: 'nodes["call"].output' },
    },
    { id: "out", type: "output", position: { x: 0, y: 520 } },
  ],
  connections: [
    { id: "1", from: "in", to: "each" },
    { id: "2", from: "call", to: "sum" },
    { id: "3", from: "each", to: "out" },
  ],
});
const PORTS = new Map(GRAPH.nodes.map(({ id, type }) => [id, type === "output" ? [] : [""]]));
const at = (graph: Graph, id: string) => graph.nodes.find((node) => node.id === id);

describe("adding", () => {
  it("names nodes so that expressions can read them", () => {
    expect(freshId(new Set(["agent"]), "ai_agent")).toBe("agent2");
    const added = addNode(GRAPH, { type: "api_call", label: "Each", position: { x: 0, y: 0 } });
    expect(added.id).toBe("call2");
    expect(at(added.graph, "call2")?.label).toBe("Each 2");
  });

  it("after the selected node connects both and takes a free place", () => {
    const options = { selectedId: "sum", ports: PORTS, center: { x: 0, y: 0 } };
    const { graph, id } = addAfter(GRAPH, { type: "process", label: "Next" }, options);
    expect(at(graph, id)).toMatchObject({ parentId: "each" });
    expect(graph.connections.at(-1)).toMatchObject({ from: "sum", to: id });
    const again = addAfter(graph, { type: "process", label: "Next" }, options);
    expect(at(again.graph, again.id)?.position?.x).toBeGreaterThan(at(graph, id)?.position?.x ?? 0);
    expect(again.graph.connections).toHaveLength(graph.connections.length);
  });

  it("to a selected loop goes inside of it, without a selection to the middle", () => {
    const inside = addAfter(
      GRAPH,
      { type: "wait", label: "Wait" },
      { selectedId: "each", ports: PORTS, center: { x: 0, y: 0 } },
    );
    expect(at(inside.graph, inside.id)?.parentId).toBe("each");
    const outside = addAfter(
      GRAPH,
      { type: "wait", label: "Wait" },
      { selectedId: null, ports: PORTS, center: { x: 900, y: 900 } },
    );
    expect(at(outside.graph, outside.id)?.parentId).toBeUndefined();
  });
});

describe("connecting", () => {
  it("refuses what cannot run, with a reason", () => {
    expect(refusal(GRAPH, "in", null, "in")).toContain("itself");
    expect(refusal(GRAPH, "in", null, "call")).toContain("same loop");
    expect(refusal(GRAPH, "in", null, "each")).toContain("already");
    expect(refusal(GRAPH, "out", null, "in")).toContain("runs before");
    expect(refusal(GRAPH, "gone", null, "in")).toContain("does not exist");
    expect(connect(GRAPH, "out", null, "in")).toBe(GRAPH);
  });

  it("keeps the port", () => {
    const { connections } = connect(GRAPH, "in", "error", "out");
    expect(connections.at(-1)).toEqual({ id: "in-error-out", from: "in", to: "out", fromPort: "error" });
  });
});

describe("removing", () => {
  it("takes what is inside of a loop and all connections with it", () => {
    const { nodes, connections } = remove(GRAPH, ["each"]);
    expect(nodes.map(({ id }) => id)).toEqual(["in", "out"]);
    expect(connections).toEqual([]);
  });

  it("cuts connections alone", () => {
    const { nodes, connections } = remove(GRAPH, [], ["1"]);
    expect([nodes.length, connections.map(({ id }) => id)]).toEqual([5, ["2", "3"]]);
  });
});

describe("moving", () => {
  it("a loop moves what is inside of it, once", () => {
    const moves = new Map([
      ["each", { x: 100, y: 0 }],
      ["call", { x: 100, y: 0 }],
    ]);
    const graph = moveBy(GRAPH, moves);
    expect(["each", "call", "sum", "in"].map((id) => at(graph, id)?.position?.x)).toEqual([100, 120, 120, 0]);
  });

  it("into another loop cuts the connections that would cross its border", () => {
    const graph = moveInto(GRAPH, ["call"], null);
    expect(at(graph, "call")).not.toHaveProperty("parentId");
    expect(graph.connections.map(({ id }) => id)).toEqual(["1", "3"]);
    expect(moveInto(GRAPH, ["each"], "each")).toBe(GRAPH);
  });

  it("tells the loop at a place; a node stays in its own until it is well outside", () => {
    expect(loopAt(GRAPH, "in", { x: 60, y: 250 })).toBe("each");
    expect(loopAt(GRAPH, "in", { x: 900, y: 250 })).toBeNull();
    expect(loopAt(GRAPH, "call", { x: -30, y: 250 })).toBe("each");
    expect(loopAt(GRAPH, "call", { x: -300, y: 250 })).toBeNull();
    expect(loopAt(GRAPH, "each", { x: 60, y: 250 })).toBeNull();
  });
});

describe("values", () => {
  it("are set and removed", () => {
    const graph = setConfig(GRAPH, "call", "method", "POST");
    expect(at(graph, "call")?.config).toEqual({ url: "{{ nodes.in.output }}", method: "POST" });
    expect(at(setConfig(graph, "call", "method", undefined), "call")?.config).toEqual(
      at(GRAPH, "call")?.config,
    );
    expect(at(updateNode(GRAPH, "each", { label: undefined }), "each")).not.toHaveProperty("label");
    expect(GRAPH.nodes[2]?.config).toEqual({ url: "{{ nodes.in.output }}" });
  });

  it("go to the API without positions when only their meaning counts", () => {
    expect(apiGraph(GRAPH, { withPositions: false }).nodes[0]).toEqual({
      id: "in",
      type: "input",
      config: {},
    });
    expect(apiGraph(GRAPH).nodes[0]).toHaveProperty("position", { x: 0, y: 0 });
  });
});

it("knows what runs before a node, also before the loops around it", () => {
  expect([...upstreamOf(GRAPH, "sum")].toSorted()).toEqual(["call", "in"]);
  expect([...upstreamOf(GRAPH, "out")].toSorted()).toEqual(["each", "in"]);
});

describe("copy and paste", () => {
  it("gives copies ids of their own, in what they say about each other too", () => {
    const clip = readClipboard(copied(GRAPH, ["each"]));
    if (!clip) throw new Error("The clipboard holds nodes.");
    const { graph, ids } = pasted(GRAPH, clip);
    expect(ids).toEqual(["each2", "call2", "sum2"]);
    expect(at(graph, "call2")).toMatchObject({ parentId: "each2", config: { url: "{{ nodes.in.output }}" } });
    expect(at(graph, "sum2")?.config).toEqual({ expression: 'nodes["call2"].output' });
    expect(graph.connections.at(-1)).toMatchObject({ from: "call2", to: "sum2" });
    expect(graph.nodes.slice(0, 5)).toEqual(GRAPH.nodes);
  });

  it("takes no other texts", () => {
    expect(readClipboard("hello")).toBeNull();
    expect(readClipboard('{"nodes": []}')).toBeNull();
  });
});

const difference = (before: typeof GRAPH, after: typeof GRAPH) =>
  differenceOf({ name: "", description: "", graph: before }, { name: "", description: "", graph: after });

describe("diff", () => {
  it("lists what was added, removed and changed", () => {
    const changed = setConfig(
      remove(addNode(GRAPH, { type: "wait", label: "W", position: { x: 0, y: 0 } }).graph, ["sum"]),
      "call",
      "url",
      "x",
    );
    const found = difference(GRAPH, changed);
    expect(found).toMatchObject({
      added: [{ id: "wait" }],
      removed: [{ id: "sum" }],
      connected: [],
      disconnected: [{ from: "call", to: "sum" }],
      moved: [],
    });
    expect(found.changed).toEqual([
      {
        id: "call",
        type: "api_call",
        label: "call",
        fields: [{ field: "config.url", before: "{{ nodes.in.output }}", after: "x" }],
      },
    ]);
  });

  it("has a path for each value in an object, as the API has", () => {
    const graphOf = (headers: object) =>
      readGraph({ nodes: [{ id: "a", type: "api_call", config: { headers } }] });
    expect(difference(graphOf({ a: 1, b: 2 }), graphOf({ a: 1, b: 3, c: [1] })).changed[0]?.fields).toEqual([
      { field: "config.headers.b", before: 2, after: 3 },
      { field: "config.headers.c", before: null, after: [1] },
    ]);
  });

  it("tells another name", () => {
    const [before, after] = ["Letter", "Answer"].map((name) => ({ name, description: "", graph: GRAPH }));
    if (!before || !after) throw new Error("There are two.");
    expect(differenceOf(before, after).details).toEqual([
      { field: "name", before: "Letter", after: "Answer" },
    ]);
  });

  it("does not see the order of keys, which the database does not keep", () => {
    const one = readGraph({ nodes: [{ id: "a", type: "process", config: { b: 1, c: { d: 1, e: 2 } } }] });
    const two = readGraph({ nodes: [{ type: "process", id: "a", config: { c: { e: 2, d: 1 }, b: 1 } }] });
    expect(isUnchanged(difference(one, two))).toBe(true);
    expect(difference(GRAPH, moveBy(GRAPH, new Map([["in", { x: 1, y: 0 }]]))).moved).toEqual(["in"]);
  });
});
