/**
 * What differs between two workflows, in the form in which the API compares versions. Only for what is not saved: two
 * saved versions are compared by the API.
 */
import type { Schemas } from "@/api/client";
import { type Graph, type GraphNode, labelOf, nodesById } from "@/ui/graph/graph";

type Field = Schemas["FieldDifference"];
type Values = Readonly<Record<string, unknown>>;

/** The workflow itself in `details`; nodes are the same by id, connections by their ends and their port. */
export type Difference = Omit<Schemas["VersionDifference"], "fromVersion" | "toVersion">;

interface Compared {
  readonly name: string;
  readonly description: string;
  readonly graph: Graph;
}

const isObject = (value: unknown): value is Values =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function sameValue(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a ?? null)) === JSON.stringify(sorted(b ?? null));
}

/** The value with the keys of its objects in order, because the database keeps none. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

function fieldsOf(old: Values, now: Values, prefix = ""): Field[] {
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  return names.flatMap((name) => {
    const [before, after] = [old[name] ?? null, now[name] ?? null];
    if (isObject(before) && isObject(after)) return fieldsOf(before, after, `${prefix}${name}.`);
    return sameValue(before, after) ? [] : [{ field: `${prefix}${name}`, before, after }];
  });
}

function withoutPosition(node: GraphNode): Values {
  return Object.fromEntries(Object.entries(node).filter(([name]) => name !== "position"));
}

/** The connections of `graph` that `other` lacks, whatever their ids are. */
function missing(graph: Graph, other: Graph): Difference["connected"] {
  const ends = ({ from, fromPort, to }: Graph["connections"][number]) =>
    [from, fromPort ?? "", to].join("\n");
  const known = new Set(other.connections.map(ends));
  return graph.connections.filter((one) => !known.has(ends(one))).map((one) => ({ ...one }));
}

/** What must be done to `before` to get `after`. */
export function differenceOf(before: Compared, after: Compared): Difference {
  const [old, now] = [nodesById(before.graph), nodesById(after.graph)];
  const kept = after.graph.nodes.flatMap((node) => {
    const was = old.get(node.id);
    return was ? [{ node, was }] : [];
  });
  const details = (["name", "description"] as const).flatMap((field) =>
    before[field] === after[field] ? [] : [{ field, before: before[field], after: after[field] }],
  );
  return {
    details,
    added: after.graph.nodes.filter(({ id }) => !old.has(id)).map((node) => ({ ...node })),
    removed: before.graph.nodes.filter(({ id }) => !now.has(id)).map((node) => ({ ...node })),
    changed: kept.flatMap(({ node, was }) => {
      const fields = fieldsOf(withoutPosition(was), withoutPosition(node));
      const { id, type } = node;
      return fields.length > 0 ? [{ id, type, label: labelOf(node), fields }] : [];
    }),
    moved: kept.filter(({ node, was }) => !sameValue(node.position, was.position)).map(({ node }) => node.id),
    connected: missing(after.graph, before.graph),
    disconnected: missing(before.graph, after.graph),
  };
}

export function isUnchanged(difference: Difference): boolean {
  return Object.values(difference).every((found) => found.length === 0);
}
