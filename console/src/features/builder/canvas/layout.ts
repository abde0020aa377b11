/** Automatic layout: from top to bottom, computed in a worker that is loaded when it is needed. */
import type { ElkExtendedEdge, ElkNode } from "elkjs/lib/elk-api";

import { LOOP_HEADER, LOOP_PADDING, NODE_WIDTH, sizeOf } from "@/ui/graph/geometry";
import { type Graph, type GraphNode, nodesById, parentOf, type Position } from "@/ui/graph/graph";

type Ports = ReadonlyMap<string, readonly string[]>;

const OPTIONS = {
  "elk.algorithm": "layered",
  "elk.direction": "DOWN",
  "elk.hierarchyHandling": "INCLUDE_CHILDREN",
  "elk.layered.spacing.nodeNodeBetweenLayers": "64",
  "elk.spacing.nodeNode": "36",
  "elk.spacing.componentComponent": "56",
  "elk.layered.considerModelOrder.strategy": "NODES_AND_EDGES",
  "elk.layered.nodePlacement.strategy": "BRANDES_KOEPF",
  "elk.layered.nodePlacement.bk.fixedAlignment": "BALANCED",
};

const INSIDE = {
  "elk.padding": `[top=${LOOP_HEADER + LOOP_PADDING},left=${LOOP_PADDING},bottom=${LOOP_PADDING + 16},right=${LOOP_PADDING}]`,
  "elk.nodeSize.constraints": "MINIMUM_SIZE",
  "elk.nodeSize.minimum": `(${NODE_WIDTH + 2 * LOOP_PADDING}, 132)`,
};

const portId = (node: string, port: string) => `${node}\n${port}`;

/** The graph as ELK takes it: loops contain their children, ports are in their order. */
export function toElk(graph: Graph, ports: Ports): ElkNode {
  const byId = nodesById(graph);
  const childrenOf = (parent: string | null) => graph.nodes.filter((node) => parentOf(node, byId) === parent);
  const seen = new Set<string>();
  const toNode = (node: GraphNode): ElkNode => {
    seen.add(node.id);
    const inside = childrenOf(node.id).filter(({ id }) => !seen.has(id));
    const names = ports.get(node.id) ?? [""];
    const isLoop = node.type === "loop" || inside.length > 0;
    return {
      id: node.id,
      ...(isLoop && inside.length > 0
        ? {}
        : isLoop
          ? { width: NODE_WIDTH + 2 * LOOP_PADDING, height: 132 }
          : sizeOf(node, ports)),
      children: inside.map(toNode),
      ports: names.map((port, index) => ({
        id: portId(node.id, port),
        width: 1,
        height: 1,
        layoutOptions: { "elk.port.side": "SOUTH", "elk.port.index": String(names.length - index) },
      })),
      layoutOptions: { ...(isLoop ? INSIDE : {}), "elk.portConstraints": "FIXED_ORDER" },
    };
  };
  const edges = graph.connections
    .filter(({ from, to }) => byId.has(from) && byId.has(to))
    .map(({ id, from, to, fromPort }): ElkExtendedEdge => ({
      id,
      sources: [portId(from, fromPort ?? "")],
      targets: [to],
    }));
  return { id: "", layoutOptions: OPTIONS, children: childrenOf(null).map(toNode), edges };
}

/** The positions that ELK found, absolute ones. */
export function fromElk(laidOut: ElkNode, origin: Position = { x: 0, y: 0 }): Map<string, Position> {
  const positions = new Map<string, Position>();
  const read = (node: ElkNode, x: number, y: number) => {
    for (const child of node.children ?? []) {
      const at = { x: Math.round(x + (child.x ?? 0)), y: Math.round(y + (child.y ?? 0)) };
      positions.set(child.id, at);
      read(child, at.x, at.y);
    }
  };
  read(laidOut, origin.x, origin.y);
  return positions;
}

export async function layOut(graph: Graph, ports: Ports): Promise<Map<string, Position>> {
  const [{ default: ELK }, { default: workerUrl }] = await Promise.all([
    import("elkjs/lib/elk-api"),
    import("elkjs/lib/elk-worker.min.js?url"),
  ]);
  const elk = new ELK({ workerUrl, workerFactory: (url) => new Worker(url ?? workerUrl) });
  try {
    return fromElk(await elk.layout(toElk(graph, ports)));
  } finally {
    elk.terminateWorker();
  }
}
