import { describe, expect, it } from "vitest";

import { flowEdges, flowNodes } from "./flow";
import { boxesOf, drawingOrder, LOOP_HEADER, NODE_HEIGHT, NODE_WIDTH } from "./geometry";
import { type Graph, readGraph, withDescendants } from "./graph";
import { portsByNode } from "./ports";
import { statesOf, wasTaken } from "./states";

const GRAPH: Graph = readGraph({
  nodes: [
    { id: "item", type: "process", parentId: "each", position: { x: 40, y: 200 } },
    { id: "each", type: "loop", label: "Each order", position: { x: 0, y: 100 }, note: "kept" },
    { id: "choose", type: "decision", position: { x: 0, y: 0 }, config: { cases: [{ name: "big" }] } },
  ],
  connections: [{ from: "choose", to: "each", fromPort: "big" }],
});
const DECISION = {
  ports: ["true", "false"],
  portsBy: { field: "cases", property: "name", also: ["default"] },
};

describe("readGraph", () => {
  it("keeps keys that it does not know and names connections without an id", () => {
    expect(GRAPH.nodes[1]?.note).toBe("kept");
    expect(GRAPH.connections[0]?.id).toBe("choose->each");
  });

  it("reads drafts that lack almost everything", () => {
    const graph = readGraph({ nodes: [{ id: "a", position: { x: "far" }, config: [] }, {}] });
    expect(graph).toEqual({
      nodes: [{ id: "a", type: "", position: { x: 0, y: 0 }, config: {} }],
      connections: [],
    });
  });
});

describe("boxes", () => {
  it("draws a loop around what is inside it", () => {
    const box = boxesOf(GRAPH).get("each");
    expect(box).toMatchObject({ x: 0, y: 100 });
    expect(box?.x ?? 0).toBeLessThan(40);
    expect((box?.x ?? 0) + (box?.width ?? 0)).toBeGreaterThan(40 + NODE_WIDTH);
    expect((box?.y ?? 0) + LOOP_HEADER).toBeLessThan(200);
    expect((box?.y ?? 0) + (box?.height ?? 0)).toBeGreaterThan(200 + NODE_HEIGHT);
  });

  it("survives loops that contain each other", () => {
    const graph = readGraph({
      nodes: [
        { id: "a", type: "loop", parentId: "b" },
        { id: "b", type: "loop", parentId: "a" },
      ],
    });
    expect([...boxesOf(graph).keys()].toSorted()).toEqual(["a", "b"]);
    expect(drawingOrder(graph)).toHaveLength(2);
  });

  it("puts nodes without a position below the others", () => {
    const graph = readGraph({
      nodes: [
        { id: "a", type: "input", position: { x: 0, y: 50 } },
        { id: "b", type: "output" },
      ],
    });
    expect(boxesOf(graph).get("b")?.y).toBeGreaterThan(50 + NODE_HEIGHT);
  });

  it("draws loops before their children", () => {
    expect(drawingOrder(GRAPH).map(({ id }) => id)).toEqual(["each", "choose", "item"]);
  });
});

describe("ports", () => {
  it("follow from the type, or from the list in the config", () => {
    const rules = (type: string) => (type === "decision" ? DECISION : { ports: [], portsBy: null });
    expect(portsByNode(GRAPH, rules).get("choose")).toEqual(["big", "default"]);
    const plain = readGraph({ nodes: [{ id: "d", type: "decision" }] });
    expect(portsByNode(plain, rules).get("d")).toEqual(["true", "false"]);
  });

  it("of a picture are those that are used", () => {
    expect(portsByNode(GRAPH).get("choose")).toEqual(["big"]);
    expect(portsByNode(GRAPH).get("each")).toEqual([""]);
  });

  it("include the error port of a node that branches on errors", () => {
    const graph = readGraph({ nodes: [{ id: "call", type: "api_call", onError: "branch" }] });
    expect(portsByNode(graph).get("call")).toEqual(["", "error"]);
  });
});

describe("states", () => {
  const state = (nodeId: string, status: "success" | "skipped", port: string | null = null) => ({
    nodeId,
    status,
    port,
    duration: 1,
    iterations: null,
  });

  it("tell which connections were taken", () => {
    const [way] = GRAPH.connections;
    if (!way) throw new Error("The graph has a connection.");
    expect(wasTaken(way, statesOf([state("choose", "success", "big"), state("each", "success")]))).toBe(true);
    expect(wasTaken(way, statesOf([state("choose", "success", "default"), state("each", "skipped")]))).toBe(
      false,
    );
  });

  it("are on the nodes, and nodes that did not change stay the same objects", () => {
    const look = { ports: portsByNode(GRAPH) };
    const before = flowNodes(GRAPH, look);
    const after = flowNodes(GRAPH, { ...look, states: statesOf([state("item", "success")]) }, before);
    expect(after.filter((node, index) => node === before[index]).map(({ id }) => id)).toEqual([
      "each",
      "choose",
    ]);
    expect(flowEdges(GRAPH)).toHaveLength(1);
  });
});

it("knows all that is inside of a node", () => {
  expect([...withDescendants(GRAPH, ["each"])]).toEqual(["each", "item"]);
});
