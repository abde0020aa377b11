import { describe, expect, it } from "vitest";

import { trialGraph, triedLabel } from "./trial";

const node = (nodeId: string) => ({ nodeId, type: "process", label: nodeId.toUpperCase() });

function runOf(triedNodeId: string | null, ...ids: string[]) {
  return { triedNodeId, nodes: ids.map(node) } as unknown as Parameters<typeof trialGraph>[0];
}

describe("trialGraph", () => {
  it("leads from each pinned node to the tried one, which stands below them", () => {
    const graph = trialGraph(runOf("x", "a", "b", "x"));
    expect(graph.connections.map(({ from, to }) => `${from}>${to}`)).toEqual(["a>x", "b>x"]);
    const [a, b, x] = graph.nodes.map(({ position }) => position);
    expect(a?.y).toBe(b?.y);
    expect(x?.y).toBeGreaterThan(b?.y ?? 0);
    expect(a?.x).not.toBe(b?.x);
  });

  it("is one node if nothing was pinned", () => {
    expect(trialGraph(runOf("x", "x"))).toMatchObject({ nodes: [{ id: "x" }], connections: [] });
  });
});

describe("triedLabel", () => {
  it("is the label of the tried node, and nothing for other runs", () => {
    expect(triedLabel(runOf("x", "a", "x"))).toBe("X");
    expect(triedLabel(runOf(null, "a"))).toBeNull();
  });
});
