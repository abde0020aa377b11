/** Where nodes are drawn. The size of a loop follows from what is inside it; nothing but positions is stored. */
import { type Graph, type GraphNode, nodesById, parentOf, type Position } from "./graph";

export interface Box extends Position {
  width: number;
  height: number;
}

export const NODE_WIDTH = 176;
export const NODE_HEIGHT = 56;
export const LOOP_HEADER = 48;
export const LOOP_PADDING = 20;
export const PORT_LABEL = 16; // the names of ports stand below a node
const EMPTY_LOOP_HEIGHT = 132;
const PORT_WIDTH = 60;
const ROW = 120;

type Ports = ReadonlyMap<string, readonly string[]>;

/** The size of a node that is no loop: wider if it has many ports. */
export function sizeOf(node: GraphNode, ports: Ports = new Map()): { width: number; height: number } {
  const count = ports.get(node.id)?.length ?? 1;
  return { width: Math.max(NODE_WIDTH, count * PORT_WIDTH), height: NODE_HEIGHT };
}

export function unionOf(boxes: readonly Box[]): Box {
  const x = Math.min(...boxes.map((box) => box.x));
  const y = Math.min(...boxes.map((box) => box.y));
  const right = Math.max(...boxes.map((box) => box.x + box.width));
  const bottom = Math.max(...boxes.map((box) => box.y + box.height));
  return { x, y, width: right - x, height: bottom - y };
}

/** A node without a position stands below those that have one. */
export function positionsOf(graph: Graph): ReadonlyMap<string, Position> {
  const lowest = Math.max(-ROW, ...graph.nodes.map((node) => node.position?.y ?? -ROW));
  let next = lowest;
  return new Map(graph.nodes.map((node) => [node.id, node.position ?? { x: 0, y: (next += ROW) }]));
}

/** The box of each node; that of a loop surrounds its children. `ports` makes room for many of them. */
export function boxesOf(graph: Graph, ports: Ports = new Map()): ReadonlyMap<string, Box> {
  const byId = nodesById(graph);
  const positions = positionsOf(graph);
  const children = new Map<string, GraphNode[]>();
  for (const node of graph.nodes) {
    const parent = parentOf(node, byId);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), node]);
  }
  const boxes = new Map<string, Box>();
  const measure = (node: GraphNode, above: ReadonlySet<string>): Box => {
    const known = boxes.get(node.id);
    if (known) return known;
    const at = positions.get(node.id) ?? { x: 0, y: 0 };
    const inside = (children.get(node.id) ?? []).filter(({ id }) => !above.has(id));
    const around = new Set([...above, node.id]);
    const box =
      node.type === "loop" || inside.length > 0
        ? loopBox(
            at,
            inside.map((child) => measure(child, around)),
          )
        : { ...at, ...sizeOf(node, ports) };
    boxes.set(node.id, box);
    return box;
  };
  for (const node of graph.nodes) measure(node, new Set([node.id]));
  return boxes;
}

function loopBox(at: Position, inside: readonly Box[]): Box {
  const width = NODE_WIDTH + 2 * LOOP_PADDING;
  if (inside.length === 0) return { ...at, width, height: EMPTY_LOOP_HEIGHT };
  const content = unionOf(inside);
  const padded = {
    x: content.x - LOOP_PADDING,
    y: content.y - LOOP_HEADER - LOOP_PADDING,
    width: content.width + 2 * LOOP_PADDING,
    height: content.height + LOOP_HEADER + 2 * LOOP_PADDING + PORT_LABEL,
  };
  return unionOf([padded, { ...at, width: Math.min(width, padded.width), height: LOOP_HEADER }]);
}

/** Loops before what is inside them, so that they are drawn below it; otherwise the order of the graph. */
export function drawingOrder(graph: Graph): GraphNode[] {
  const byId = nodesById(graph);
  const depth = new Map(graph.nodes.map((node) => [node.id, depthOf(node, byId)]));
  return graph.nodes.toSorted((a, b) => (depth.get(a.id) ?? 0) - (depth.get(b.id) ?? 0));
}

/** How many loops are around a node. */
export function depthOf(node: GraphNode, byId: ReadonlyMap<string, GraphNode>): number {
  const seen = new Set([node.id]);
  let depth = 0;
  for (let id = parentOf(node, byId); id !== null && !seen.has(id); depth += 1) {
    seen.add(id);
    const parent = byId.get(id);
    id = parent ? parentOf(parent, byId) : null;
  }
  return depth;
}
