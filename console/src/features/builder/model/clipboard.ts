/** Nodes as a text on the clipboard, which other tabs and workflows can paste. */
import {
  type Graph,
  type GraphConnection,
  type GraphNode,
  readGraph,
  withDescendants,
} from "@/ui/graph/graph";
import { positionsOf } from "@/ui/graph/geometry";

import { freshId } from "./edits";

const KIND = "agentforge/nodes";
const SHIFT = 40;

/** The chosen nodes, all that is inside of them, and the connections between them. */
export function copied(graph: Graph, nodeIds: Iterable<string>): string {
  const ids = withDescendants(graph, nodeIds);
  const positions = positionsOf(graph);
  const nodes = graph.nodes.filter(({ id }) => ids.has(id));
  const connections = graph.connections.filter(({ from, to }) => ids.has(from) && ids.has(to));
  const placed = nodes.map((node) => ({ ...node, position: positions.get(node.id) }));
  return JSON.stringify({ kind: KIND, nodes: placed, connections }, null, 1);
}

/** The nodes that a text holds, null if it holds none of ours. */
export function readClipboard(text: string): Graph | null {
  try {
    const document = JSON.parse(text) as { kind?: unknown; nodes?: unknown; connections?: unknown };
    if (document.kind !== KIND || !Array.isArray(document.nodes)) return null;
    const connections = Array.isArray(document.connections) ? document.connections : [];
    return readGraph({ nodes: document.nodes as Record<string, unknown>[], connections });
  } catch {
    return null;
  }
}

/** The expressions of a value, reading other nodes than before. */
function renamedIn(value: unknown, ids: ReadonlyMap<string, string>): unknown {
  if (typeof value === "string") {
    return value.replace(
      /\bnodes(?:\.([\w-]+)|\[(["'])([^"']+)\2\])/g,
      (whole, plain?: string, _?: string, quoted?: string) => {
        const id = ids.get(plain ?? quoted ?? "");
        if (id === undefined) return whole;
        return plain === undefined ? `nodes["${id}"]` : `nodes.${id}`;
      },
    );
  }
  if (Array.isArray(value)) return value.map((item) => renamedIn(item, ids));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, renamedIn(item, ids)]));
}

/** Add copied nodes with ids of their own; what they say about each other is changed with them. */
export function pasted(graph: Graph, clip: Graph): { graph: Graph; ids: string[] } {
  const taken = new Set(graph.nodes.map(({ id }) => id));
  const ids = new Map<string, string>();
  for (const node of clip.nodes) {
    const id = freshId(taken, node.id.replace(/\d+$/, "") || node.type);
    taken.add(id);
    ids.set(node.id, id);
  }
  const nodes = clip.nodes.map((node): GraphNode => {
    const { parentId, ...rest } = node;
    const parent =
      ids.get(parentId ?? "") ??
      (graph.nodes.some(({ id, type }) => id === parentId && type === "loop") ? parentId : null);
    const position = { x: (node.position?.x ?? 0) + SHIFT, y: (node.position?.y ?? 0) + SHIFT };
    const config = renamedIn(node.config, ids) as Record<string, unknown>;
    return {
      ...rest,
      id: ids.get(node.id) ?? node.id,
      position,
      config,
      ...(parent ? { parentId: parent } : {}),
    };
  });
  const used = new Set(graph.connections.map(({ id }) => id));
  const connections = clip.connections.map((way): GraphConnection => {
    const [from, to] = [ids.get(way.from) ?? way.from, ids.get(way.to) ?? way.to];
    const id = freshId(used, `${from}-${to}`);
    used.add(id);
    return { ...way, id, from, to };
  });
  const next = { nodes: [...graph.nodes, ...nodes], connections: [...graph.connections, ...connections] };
  return { graph: next, ids: [...ids.values()] };
}
