/** Ports: where connections leave a node. */
import type { Graph, GraphNode } from "./graph";

export const ERROR_PORT = "error";

/** What a node type says about ports, as in `GET /node-types`. */
export interface PortRules {
  readonly ports: readonly string[];
  readonly portsBy: {
    readonly field: string;
    readonly property: string;
    readonly also: readonly string[];
  } | null;
}

/** The named ports that the config of a node gives it; none means that it has one way out, without a name. */
function portsOfConfig(node: GraphNode, rules: PortRules | undefined): readonly string[] {
  const items = rules?.portsBy ? node.config?.[rules.portsBy.field] : undefined;
  if (!rules?.portsBy || !Array.isArray(items) || items.length === 0) return rules?.ports ?? [];
  const { property, also } = rules.portsBy;
  const names = items.map((item) => (item as Record<string, unknown> | null)?.[property]);
  return [...names.filter((name): name is string => typeof name === "string" && name !== ""), ...also];
}

/**
 * The ports of each node, "" for the one without a name: those of its type, and others that connections use.
 * Without `rulesOf`, as in a picture, only those that connections use.
 */
export function portsByNode(
  graph: Graph,
  rulesOf: (type: string) => PortRules | undefined = () => undefined,
): ReadonlyMap<string, readonly string[]> {
  const used = new Map<string, Set<string>>();
  for (const { from, fromPort } of graph.connections) {
    const ports = used.get(from) ?? new Set();
    used.set(from, ports.add(fromPort ?? ""));
  }
  return new Map(
    graph.nodes.map((node) => {
      const own = portsOfConfig(node, rulesOf(node.type));
      const all = new Set(own.length > 0 || node.type === "output" ? own : [""]);
      if (own.length === 0 && used.has(node.id) && !used.get(node.id)?.has("") && !rulesOf(node.type))
        all.clear();
      for (const port of used.get(node.id) ?? []) all.add(port);
      if (node.onError === "branch") all.add(ERROR_PORT);
      return [node.id, [...all]];
    }),
  );
}
