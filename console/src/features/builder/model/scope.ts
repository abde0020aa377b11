/** The variables of a node's expressions, with values from the last run, and what completes a text at a place. */
import { type Graph, nodesById, parentOf } from "@/ui/graph/graph";

import { upstreamOf } from "./edits";

/** What is known of a run: its input, and the outputs of its nodes by id. */
export interface RunData {
  /** The id of the run; "" if there was none. */
  id: string;
  input: unknown;
  outputs: ReadonlyMap<string, unknown>;
}

export type Scope = Readonly<Record<string, unknown>>;

const LIST_OPERATIONS = new Set(["filter", "map", "sort", "reduce"]);

/** The value of `data`: the output of the node before, or outputs by node if there are several. */
function dataOf(graph: Graph, nodeId: string, run: RunData): unknown {
  const sources = [...new Set(graph.connections.filter(({ to }) => to === nodeId).map(({ from }) => from))];
  if (sources.length === 1) return run.outputs.get(sources[0] ?? "") ?? null;
  if (sources.length > 1) return Object.fromEntries(sources.map((id) => [id, run.outputs.get(id) ?? null]));
  return undefined;
}

const firstOf = (value: unknown): unknown => (Array.isArray(value) ? (value[0] as unknown) : undefined);

/** The list that a loop goes through, if its items are written out or its data is a list. */
function itemOf(graph: Graph, loopId: string, run: RunData): unknown {
  const items = nodesById(graph).get(loopId)?.config?.items;
  const path = typeof items === "string" ? /^\{\{\s*([\w.[\]"'-]+)\s*\}\}$/.exec(items)?.[1] : undefined;
  if (path) return firstOf(valueAt(scopeOf(graph, loopId, run), stepsOf(path)));
  return firstOf(items) ?? firstOf(dataOf(graph, loopId, run));
}

/** The variables that the expressions of a node may use. */
export function scopeOf(graph: Graph, nodeId: string, run: RunData): Scope {
  const byId = nodesById(graph);
  const node = byId.get(nodeId);
  const parent = node ? parentOf(node, byId) : null;
  const upstream = [...upstreamOf(graph, nodeId)];
  const nodes = Object.fromEntries(upstream.map((id) => [id, { output: run.outputs.get(id) ?? null }]));
  const item = parent === null ? undefined : itemOf(graph, parent, run);
  const data = dataOf(graph, nodeId, run) ?? (parent === null ? run.input : item);
  const operation = typeof node?.config?.operation === "string" ? node.config.operation : "";
  const perItem = node?.type === "process" && LIST_OPERATIONS.has(operation);
  const scope: Record<string, unknown> = { input: run.input, data: data ?? null, nodes };
  if (parent !== null || perItem || node?.type === "loop") {
    scope.item = (perItem ? firstOf(data) : item) ?? null;
    scope.index = 0;
  }
  if (operation === "reduce") scope.accumulator = node?.config?.initial ?? null;
  const execution = { id: run.id, workflowId: "", workflowName: "", startedAt: "" };
  return { ...scope, execution };
}

/** The names in a path such as `nodes["a b"].output.rows[0].`; an open one at the end is left out. */
export function stepsOf(path: string): string[] {
  const steps = path.matchAll(/([A-Za-z_$][\w$-]*)|\[(\d+)\]|\["([^"]*)"\]|\['([^']*)'\]/g);
  return [...steps].map(([, name, index, double, single]) => name ?? index ?? double ?? single ?? "");
}

export function valueAt(scope: unknown, steps: readonly string[]): unknown {
  let value = scope;
  for (const step of steps) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Object.hasOwn(value, step) ? (value as Record<string, unknown>)[step] : undefined;
  }
  return value;
}

export interface Completion {
  label: string;
  /** What stands behind it: its value, shortened. */
  detail: string;
  /** What is written, if it is not the label: keys that are no identifiers need brackets. */
  apply: string;
}

const PATH_BEFORE = /(?:[A-Za-z_$][\w$]*)(?:\??\.[A-Za-z_$][\w$-]*|\[\d+\]|\["[^"]*"\]|\['[^']*'\])*\??\.$/;
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
const MAX_KEYS = 100;

export function shortened(value: unknown, length = 40): string {
  if (value === undefined) return "";
  if (Array.isArray(value)) return `list of ${value.length}`;
  const text = JSON.stringify(value);
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/**
 * What may follow the text before the cursor: the keys of the value before a dot, else the variables. `from` is where
 * the word begins that is being written; null if nothing completes it.
 */
export function completionsAt(before: string, scope: Scope): { from: number; options: Completion[] } | null {
  const word = /[\w$-]*$/.exec(before)?.[0] ?? "";
  const from = before.length - word.length;
  const path = PATH_BEFORE.exec(before.slice(0, from))?.[0];
  const isNodes = path !== undefined && stepsOf(path).join(".") === "nodes";
  if (path === undefined && before.slice(0, from).endsWith(".")) return null;
  const value = path === undefined ? scope : valueAt(scope, stepsOf(path));
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return Array.isArray(value)
      ? { from, options: [{ label: "length", detail: String(value.length), apply: "length" }] }
      : null;
  }
  const options = Object.entries(value)
    .slice(0, MAX_KEYS)
    .map(([label, item]) => {
      const isPlain = IDENTIFIER.test(label) || (isNodes && /^[A-Za-z_$][\w$-]*$/.test(label));
      return { label, detail: shortened(item), apply: isPlain ? label : `[${JSON.stringify(label)}]` };
    });
  return { from, options };
}
