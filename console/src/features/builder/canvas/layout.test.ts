import { describe, expect, it } from "vitest";

import { readGraph } from "@/ui/graph/graph";

import { fromElk, toElk } from "./layout";

const GRAPH = readGraph({
  nodes: [
    { id: "each", type: "loop" },
    { id: "in", type: "process", parentId: "each" },
    { id: "choose", type: "decision" },
  ],
  connections: [{ id: "way", from: "choose", to: "each", fromPort: "true" }],
});

describe("layout", () => {
  it("gives ELK loops with what is inside of them, and ports in their order", () => {
    const elk = toElk(GRAPH, new Map([["choose", ["true", "false"]]]));
    expect(elk.children?.map(({ id, children }) => [id, children?.length])).toEqual([
      ["each", 1],
      ["choose", 0],
    ]);
    expect(elk.children?.[1]?.ports).toHaveLength(2);
    expect(elk.edges).toEqual([{ id: "way", sources: ["choose\ntrue"], targets: ["each"] }]);
  });

  it("makes ELK's positions absolute", () => {
    const laidOut = {
      id: "",
      children: [{ id: "each", x: 10, y: 20, children: [{ id: "in", x: 5.4, y: 70 }] }],
    };
    expect(fromElk(laidOut).get("in")).toEqual({ x: 15, y: 90 });
  });
});
