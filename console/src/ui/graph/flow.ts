/** A graph as the nodes and edges of React Flow, with sizes and handles computed instead of measured. */
import { type Edge, type Node, type NodeHandle, Position as Side } from "@xyflow/react";

import { type Box, boxesOf, depthOf, drawingOrder } from "./geometry";
import { type Graph, type GraphNode, labelOf, nodesById } from "./graph";
import { type NodeState, type NodeStates, wasTaken } from "./states";

export type Mark = "error" | "warning";

export interface CardData extends Record<string, unknown> {
  label: string;
  nodeType: string;
  /** The names of the ways out, "" for the one without a name. */
  ports: readonly string[];
  isEmpty: boolean;
  /** Whether nodes may come before it; inputs ignore what does. */
  hasWayIn: boolean;
  state?: NodeState | undefined;
  mark?: Mark | undefined;
}

export type CardNode = Node<CardData, "card" | "loop">;

const HANDLE = 14;

/** React Flow's id of the handle of a port. */
export function handleId(port: string | null | undefined): string {
  return `port:${port ?? ""}`;
}

export function portOfHandle(handle: string | null | undefined): string | null {
  const port = handle?.slice("port:".length) ?? "";
  return port === "" ? null : port;
}

function handlesOf(box: Box, { ports, hasWayIn }: CardData): NodeHandle[] {
  const size = { width: HANDLE, height: HANDLE };
  const target = {
    id: "in",
    type: "target" as const,
    position: Side.Top,
    x: box.width / 2 - HANDLE / 2,
    y: -HANDLE / 2,
  };
  const sources = ports.map((port, index) => ({
    id: handleId(port),
    type: "source" as const,
    position: Side.Bottom,
    x: (box.width * (index + 0.5)) / ports.length - HANDLE / 2,
    y: box.height - HANDLE / 2,
    ...size,
  }));
  return hasWayIn ? [{ ...target, ...size }, ...sources] : sources;
}

interface Look {
  ports: ReadonlyMap<string, readonly string[]>;
  states?: NodeStates | undefined;
  marks?: ReadonlyMap<string, Mark> | undefined;
  selected?: ReadonlySet<string> | undefined;
}

/** Nodes in drawing order; those of `before` that did not change are kept, so that they are not drawn again. */
export function flowNodes(graph: Graph, look: Look, before: readonly CardNode[] = []): CardNode[] {
  const boxes = boxesOf(graph, look.ports);
  const byId = nodesById(graph);
  const parents = new Set(graph.nodes.map(({ parentId }) => parentId));
  const targets = new Set(graph.connections.map(({ to }) => to));
  const known = new Map(before.map((node) => [node.id, node]));
  return drawingOrder(graph).map((node) => {
    const box = boxes.get(node.id) ?? { x: 0, y: 0, width: 0, height: 0 };
    const data: CardData = {
      label: labelOf(node),
      nodeType: node.type,
      ports: look.ports.get(node.id) ?? [""],
      isEmpty: !parents.has(node.id),
      hasWayIn: node.type !== "input" || targets.has(node.id),
      state: look.states?.get(node.id),
      mark: look.marks?.get(node.id),
    };
    const made = flowNode(node, box, data, depthOf(node, byId), look.selected?.has(node.id) ?? false);
    const old = known.get(node.id);
    return old && isSame(old, made) ? old : made;
  });
}

function flowNode(node: GraphNode, box: Box, data: CardData, depth: number, selected: boolean): CardNode {
  const isLoop = node.type === "loop" || !data.isEmpty;
  const { width, height } = box;
  return {
    id: node.id,
    type: isLoop ? "loop" : "card",
    position: { x: box.x, y: box.y },
    data,
    width,
    height,
    measured: { width, height },
    handles: handlesOf(box, data),
    zIndex: isLoop ? depth : 10 + depth,
    selected,
    ...(isLoop ? { dragHandle: ".loop-header" } : {}),
    ariaLabel: ariaLabelOf(data),
    domAttributes: { "aria-roledescription": "node" },
  };
}

function ariaLabelOf({ label, nodeType, state, mark }: CardData): string {
  return [label, nodeType.replaceAll("_", " "), state?.status, mark && `has ${mark}s`]
    .filter(Boolean)
    .join(", ");
}

function isSame(a: CardNode, b: CardNode): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The connections whose ends exist. */
export function flowEdges(graph: Graph, states?: NodeStates, selected?: ReadonlySet<string>): Edge[] {
  const byId = nodesById(graph);
  const ends = graph.connections.filter(({ from, to }) => byId.has(from) && byId.has(to));
  return ends.map((connection) => {
    const { id, from, to, fromPort } = connection;
    const labels = [from, to].map((end) => labelOf(byId.get(end) ?? { id: end, type: "" }));
    const way = states ? (wasTaken(connection, states) ? "taken" : "idle") : "plain";
    return {
      id,
      source: from,
      target: to,
      sourceHandle: handleId(fromPort),
      targetHandle: "in",
      className: `way-${way}`,
      zIndex: 5,
      selected: selected?.has(id) ?? false,
      ariaLabel: `Connection from ${labels[0]}${fromPort ? `, port ${fromPort},` : ""} to ${labels[1]}`,
    };
  });
}
