/** The graph of a trial: the pinned nodes beside each other, and the tried one below them. */
import type { FullRun } from "@/api/runs";
import { type Graph, readGraph } from "@/ui/graph/graph";

const COLUMN = 220;
const ROW = 140;

type TriedRun = Pick<FullRun, "nodes" | "triedNodeId">;

export function trialGraph({ nodes, triedNodeId }: TriedRun): Graph {
  const pinned = nodes.filter(({ nodeId }) => nodeId !== triedNodeId);
  const middle = ((pinned.length - 1) * COLUMN) / 2;
  const place = (nodeId: string) =>
    nodeId === triedNodeId
      ? { x: Math.max(0, middle), y: ROW }
      : { x: pinned.findIndex((one) => one.nodeId === nodeId) * COLUMN, y: 0 };
  return readGraph({
    nodes: nodes.map(({ nodeId, type, label }) => ({ id: nodeId, type, label, position: place(nodeId) })),
    connections: triedNodeId === null ? [] : pinned.map(({ nodeId }) => ({ from: nodeId, to: triedNodeId })),
  });
}

/** What the tried node is called; null for a run that is no trial. */
export function triedLabel({ nodes, triedNodeId }: TriedRun): string | null {
  if (triedNodeId === null) return null;
  return nodes.find(({ nodeId }) => nodeId === triedNodeId)?.label ?? triedNodeId;
}
