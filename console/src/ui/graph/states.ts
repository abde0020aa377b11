/** What a run did with each node, and with the connections between them. */
import type { Schemas } from "@/api/client";

import type { GraphConnection } from "./graph";

export type NodeState = Pick<Schemas["Node"], "status" | "duration" | "iterations" | "port">;
export type NodeStates = ReadonlyMap<string, NodeState>;

/** The states of a run's nodes by their ids. */
export function statesOf(nodes: readonly (NodeState & { nodeId: string })[]): NodeStates {
  return new Map(nodes.map((node) => [node.nodeId, node]));
}

const BEGUN = new Set(["running", "waiting", "success", "failed"]);

/** Whether a run went along a connection: its source ended with that port, and its target began. */
export function wasTaken({ from, to, fromPort }: GraphConnection, states: NodeStates): boolean {
  const source = states.get(from);
  const passed = source?.status === "success" || (source?.status === "failed" && fromPort === source.port);
  return passed && (!fromPort || source.port === fromPort) && BEGUN.has(states.get(to)?.status ?? "");
}
