/** A graph as the API takes it. */
import type { Graph } from "@/ui/graph/graph";

interface Document {
  nodes: Record<string, unknown>[];
  connections: Record<string, unknown>[];
}

/** Without positions it stays the same while nodes are moved: they do not matter to what is wrong with it. */
export function apiGraph(graph: Graph, { withPositions = true } = {}): Document {
  const nodes = graph.nodes.map((node) => {
    const { x, y } = node.position ?? { x: 0, y: 0 };
    const document: Record<string, unknown> = { ...node };
    delete document.position;
    if (withPositions && node.position) document.position = { x: Math.round(x), y: Math.round(y) };
    return document;
  });
  return { nodes, connections: graph.connections.map((way) => ({ ...way })) };
}
