/** What differs between two graphs, node by node. */
import { type Graph, type GraphNode, labelOf, nodesById } from "@/ui/graph/graph";

export interface NodeChange {
  kind: "added" | "removed" | "changed";
  node: GraphNode;
  /** The fields that differ, such as `config.url`; empty for those that were added or removed. */
  fields: { name: string; before: unknown; after: unknown }[];
}

export interface GraphDiff {
  nodes: NodeChange[];
  connections: { kind: "added" | "removed"; text: string }[];
  /** Nodes that only stand elsewhere. */
  moved: number;
}

function sameValue(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

/** The value with the keys of its objects in order, because the database keeps none. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

function fieldsOf(before: GraphNode, after: GraphNode): NodeChange["fields"] {
  const flat = (node: GraphNode): Record<string, unknown> => {
    const config = Object.entries(node.config ?? {}).map(([key, value]) => [`config.${key}`, value]);
    const others = Object.entries(node).filter(([key]) => key !== "config" && key !== "position");
    return Object.fromEntries([...others, ...config]) as Record<string, unknown>;
  };
  const [old, now] = [flat(before), flat(after)];
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  return names
    .filter((name) => !sameValue(old[name] ?? null, now[name] ?? null))
    .map((name) => ({ name, before: old[name], after: now[name] }));
}

export function diffOf(before: Graph, after: Graph): GraphDiff {
  const [old, now] = [nodesById(before), nodesById(after)];
  const removed = before.nodes.filter(({ id }) => !now.has(id));
  const added = after.nodes.filter(({ id }) => !old.has(id));
  const kept = after.nodes.flatMap((node) => {
    const was = old.get(node.id);
    return was ? [{ node, was, fields: fieldsOf(was, node) }] : [];
  });
  const changed = kept.filter(({ fields }) => fields.length > 0);
  return {
    nodes: [
      ...added.map((node) => ({ kind: "added" as const, node, fields: [] })),
      ...removed.map((node) => ({ kind: "removed" as const, node, fields: [] })),
      ...changed.map(({ node, fields }) => ({ kind: "changed" as const, node, fields })),
    ],
    connections: [...missing(after, before, "added"), ...missing(before, after, "removed")],
    moved: kept.filter(({ node, was }) => !sameValue(node.position, was.position)).length,
  };
}

/** The connections of `from` that `other` lacks, whatever their ids are. */
function missing(from: Graph, other: Graph, kind: "added" | "removed"): GraphDiff["connections"] {
  const byId = nodesById(from);
  const key = (way: Graph["connections"][number]) => [way.from, way.fromPort ?? "", way.to].join("\n");
  const known = new Set(other.connections.map(key));
  const label = (id: string) => labelOf(byId.get(id) ?? { id, type: "" });
  return from.connections
    .filter((way) => !known.has(key(way)))
    .map((way) => ({
      kind,
      text: `${label(way.from)}${way.fromPort ? ` (${way.fromPort})` : ""} → ${label(way.to)}`,
    }));
}

export function isUnchanged({ nodes, connections, moved }: GraphDiff): boolean {
  return nodes.length === 0 && connections.length === 0 && moved === 0;
}
