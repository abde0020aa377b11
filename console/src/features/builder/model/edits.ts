/** Edits of a graph: each returns another graph and leaves the old one as it is. */
import { boxesOf, positionsOf } from "@/ui/graph/geometry";
import {
  type Graph,
  type GraphConnection,
  type GraphNode,
  labelOf,
  nodesById,
  parentOf,
  type Position,
  withDescendants,
} from "@/ui/graph/graph";

const NAMES: Record<string, string> = { ai_agent: "agent", api_call: "call" };

/** An id that no node has, which reads well in expressions: "agent", then "agent2". */
export function freshId(taken: ReadonlySet<string>, base: string): string {
  const name = NAMES[base] ?? base;
  for (let number = 1; ; number += 1) {
    const id = number === 1 ? name : `${name}${number}`;
    if (!taken.has(id)) return id;
  }
}

export interface NewNode {
  type: string;
  label: string;
  position: Position;
  parentId?: string | null;
  config?: Record<string, unknown>;
}

export function addNode(graph: Graph, { parentId, ...made }: NewNode): { graph: Graph; id: string } {
  const id = freshId(new Set(graph.nodes.map((node) => node.id)), made.type);
  const labels = new Set(graph.nodes.map(labelOf));
  let label = made.label;
  for (let number = 2; labels.has(label); number += 1) label = `${made.label} ${number}`;
  const node: GraphNode = { id, config: {}, ...made, label, ...(parentId ? { parentId } : {}) };
  return { graph: { ...graph, nodes: [...graph.nodes, node] }, id };
}

export function updateNode(graph: Graph, id: string, patch: Record<string, unknown>): Graph {
  return { ...graph, nodes: graph.nodes.map((node) => (node.id === id ? patched(node, patch) : node)) };
}

/** The node with other values; undefined removes a key. */
function patched(node: GraphNode, patch: Record<string, unknown>): GraphNode {
  const entries = Object.entries({ ...node, ...patch }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as GraphNode;
}

export function setConfig(graph: Graph, id: string, name: string, value: unknown): Graph {
  const node = graph.nodes.find((found) => found.id === id);
  if (!node) return graph;
  const entries = Object.entries({ ...node.config, [name]: value }).filter(
    ([, given]) => given !== undefined,
  );
  return updateNode(graph, id, { config: Object.fromEntries(entries) });
}

/** Remove connections and nodes, with what is inside of them and their connections. */
export function remove(graph: Graph, nodeIds: Iterable<string>, connectionIds: Iterable<string> = []): Graph {
  const gone = withDescendants(graph, nodeIds);
  const cut = new Set(connectionIds);
  return {
    nodes: graph.nodes.filter(({ id }) => !gone.has(id)),
    connections: graph.connections.filter(
      ({ id, from, to }) => !cut.has(id) && !gone.has(from) && !gone.has(to),
    ),
  };
}

/** Why two nodes cannot be connected, in a sentence; null if they can. */
export function refusal(graph: Graph, from: string, port: string | null, to: string): string | null {
  const byId = nodesById(graph);
  const [source, target] = [byId.get(from), byId.get(to)];
  if (!source || !target) return "One of the nodes does not exist any more.";
  if (from === to) return "A node cannot be connected with itself.";
  if (parentOf(source, byId) !== parentOf(target, byId)) {
    return `${labelOf(source)} and ${labelOf(target)} are not in the same loop. Connect the loop itself instead.`;
  }
  if (
    graph.connections.some((way) => way.from === from && way.to === to && (way.fromPort ?? null) === port)
  ) {
    return "They are connected already.";
  }
  if (reaches(graph, to, from)) {
    return `${labelOf(target)} runs before ${labelOf(source)}. To repeat nodes, put them into a loop.`;
  }
  return null;
}

function reaches(graph: Graph, start: string, goal: string): boolean {
  const seen = new Set([start]);
  for (const id of seen) {
    if (id === goal) return true;
    for (const way of graph.connections) if (way.from === id) seen.add(way.to);
  }
  return false;
}

export function connect(graph: Graph, from: string, port: string | null, to: string): Graph {
  if (refusal(graph, from, port, to)) return graph;
  const taken = new Set(graph.connections.map(({ id }) => id));
  const id = freshId(taken, [from, port, to].filter(Boolean).join("-"));
  const made: GraphConnection = { id, from, to, ...(port ? { fromPort: port } : {}) };
  return { ...graph, connections: [...graph.connections, made] };
}

/** Move nodes by so much each; what is inside of a loop moves with it. */
export function moveBy(graph: Graph, moves: ReadonlyMap<string, Position>): Graph {
  const byId = nodesById(graph);
  const positions = positionsOf(graph);
  const moveOf = (node: GraphNode): Position | undefined => {
    const seen = new Set<string>();
    for (let at: GraphNode | undefined = node; at && !seen.has(at.id);) {
      const move = moves.get(at.id);
      if (move) return move;
      seen.add(at.id);
      at = byId.get(parentOf(at, byId) ?? "");
    }
    return undefined;
  };
  const nodes = graph.nodes.map((node) => {
    const [move, at] = [moveOf(node), positions.get(node.id)];
    return move && at && (move.x !== 0 || move.y !== 0)
      ? { ...node, position: { x: at.x + move.x, y: at.y + move.y } }
      : node;
  });
  return { ...graph, nodes };
}

/** Put nodes at positions, as a layout computed them. */
export function place(graph: Graph, positions: ReadonlyMap<string, Position>): Graph {
  const nodes = graph.nodes.map((node) => ({ ...node, position: positions.get(node.id) ?? node.position }));
  return { ...graph, nodes: nodes as GraphNode[] };
}

/** Put nodes into a loop, or out of all with null. Connections that would cross its border are removed. */
export function moveInto(graph: Graph, ids: Iterable<string>, parentId: string | null): Graph {
  const moved = new Set(ids);
  if (parentId !== null && withDescendants(graph, moved).has(parentId)) return graph;
  const nodes = graph.nodes.map((node) =>
    moved.has(node.id) ? patched(node, { parentId: parentId ?? undefined }) : node,
  );
  const byId = nodesById({ ...graph, nodes });
  const parent = (id: string) => {
    const node = byId.get(id);
    return node ? parentOf(node, byId) : null;
  };
  const connections = graph.connections.filter(({ from, to }) => parent(from) === parent(to));
  return { nodes, connections };
}

const LEAVES_AFTER = 60;

/**
 * The loop into which a node was dropped: the innermost one around the point. A node stays in its own loop, which
 * grows, until it is well outside of it. `before` is the graph before the node was moved.
 */
export function loopAt(before: Graph, nodeId: string, point: Position): string | null {
  const byId = nodesById(before);
  const node = byId.get(nodeId);
  const own = node ? parentOf(node, byId) : null;
  const inside = withDescendants(before, [nodeId]);
  const boxes = boxesOf(before);
  const around = before.nodes.filter(({ id, type }) => {
    const box = boxes.get(id);
    if (type !== "loop" || !box || inside.has(id)) return false;
    const slack = id === own ? LEAVES_AFTER : 0;
    const [dx, dy] = [point.x - box.x, point.y - box.y];
    return dx >= -slack && dy >= -slack && dx <= box.width + slack && dy <= box.height + slack;
  });
  const area = (id: string) => (boxes.get(id)?.width ?? 0) * (boxes.get(id)?.height ?? 0);
  return around.toSorted((a, b) => area(a.id) - area(b.id))[0]?.id ?? null;
}

/** The nodes that run before a node at its level, and before the loops around it: those that expressions can read. */
export function upstreamOf(graph: Graph, nodeId: string): Set<string> {
  const byId = nodesById(graph);
  const found = new Set<string>();
  const seen = new Set<string>();
  for (let at: string | null = nodeId; at !== null && !seen.has(at);) {
    seen.add(at);
    const level = new Set([at]);
    for (const id of level) for (const way of graph.connections) if (way.to === id) level.add(way.from);
    level.delete(at);
    for (const id of level) found.add(id);
    const node = byId.get(at);
    at = node ? parentOf(node, byId) : null;
  }
  return found;
}
