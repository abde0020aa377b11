/** What a node is tried with: the data that it would get from the nodes before it, as texts to edit. */
import { type Graph, labelOf, nodesById, parentOf } from "@/ui/graph/graph";

import { upstreamOf } from "./edits";

export interface PinField {
  /** What it becomes in the request; `id` is the node whose output it is. */
  kind: "output" | "input" | "item";
  id: string;
  name: string;
  label: string;
}

const READS = /nodes(?:\.([A-Za-z_$][\w$-]*)|\[["']([^"']+)["']\])/g;

/** The ids of the nodes that the settings of a node name. */
function readBy(config: unknown): Set<string> {
  const text = JSON.stringify(config ?? {}).replaceAll('\\"', '"');
  return new Set([...text.matchAll(READS)].map(([, name, quoted]) => name ?? quoted ?? ""));
}

/**
 * One field for each node that hands data to the node or is read by it. Without any the node gets the run's input or,
 * first in a loop, the item.
 */
export function fieldsToPin(graph: Graph, nodeId: string): PinField[] {
  const byId = nodesById(graph);
  const node = byId.get(nodeId);
  if (!node) return [];
  const sources = new Set(graph.connections.filter(({ to }) => to === nodeId).map(({ from }) => from));
  const upstream = upstreamOf(graph, nodeId);
  const reads = [...readBy(node.config)].filter((id) => upstream.has(id));
  const named = [...new Set([...sources, ...reads])].flatMap((id) => byId.get(id) ?? []);
  const fields: PinField[] = named.map((one) => ({
    kind: "output",
    id: one.id,
    name: `output ${one.id}`,
    label: `Output of ${labelOf(one)}`,
  }));
  const isInLoop = parentOf(node, byId) !== null;
  const settings = JSON.stringify(node.config ?? {});
  if (isInLoop) fields.push({ kind: "item", id: "", name: "item", label: "Item of the loop" });
  if ((sources.size === 0 && !isInLoop) || /\binput\b/.test(settings))
    fields.push({ kind: "input", id: "", name: "input", label: "Input of the run" });
  return fields;
}

/** Where the first iteration of a node is: "" outside of loops, "0" in one, "0.0" in one within another. */
export function firstPath(graph: Graph, nodeId: string): string {
  const byId = nodesById(graph);
  const path: string[] = [];
  const seen = new Set<string>();
  for (let at = byId.get(nodeId); at && !seen.has(at.id);) {
    seen.add(at.id);
    const parent = parentOf(at, byId);
    if (parent === null) break;
    path.push("0");
    at = byId.get(parent);
  }
  return path.join(".");
}

/** A node in the same loop that begins with the item itself. */
export function firstInLoop(graph: Graph, nodeId: string): string | null {
  const byId = nodesById(graph);
  const node = byId.get(nodeId);
  const parent = node ? parentOf(node, byId) : null;
  const isFirst = (id: string) => !graph.connections.some(({ to }) => to === id);
  if (parent === null) return null;
  return graph.nodes.find((one) => parentOf(one, byId) === parent && isFirst(one.id))?.id ?? null;
}

export type Texts = Readonly<Record<string, string>>;

export interface Trial {
  pinned: Record<string, unknown>;
  input: unknown;
  item: unknown;
}

/** What the texts say, or what is wrong with them by the names of the fields. An empty text is null. */
export function trialOf(
  fields: readonly PinField[],
  texts: Texts,
): { trial: Trial } | { errors: Record<string, string> } {
  const trial: Trial = { pinned: {}, input: null, item: null };
  const errors: Record<string, string> = {};
  for (const { kind, id, name } of fields) {
    const text = (texts[name] ?? "").trim();
    try {
      const value = text === "" ? null : (JSON.parse(text) as unknown);
      if (kind === "output") trial.pinned[id] = value;
      else trial[kind] = value;
    } catch (error) {
      errors[name] = `This is not JSON: ${error instanceof Error ? error.message : "it cannot be read"}`;
    }
  }
  return Object.keys(errors).length > 0 ? { errors } : { trial };
}

export function pinText(value: unknown): string {
  return value === undefined || value === null ? "" : JSON.stringify(value, null, 2);
}
