/** Workflows as files, in the form of `examples/`: what is exported can be imported. */
import type { Schemas } from "@/api/client";

type Workflow = Schemas["Workflow"];

export interface WorkflowFile {
  name: string;
  description?: string;
  nodes: JsonObject[];
  connections: JsonObject[];
  timeout?: number;
  maxQueueSeconds?: number;
}

type JsonObject = Record<string, unknown>;

const MAX_FILE_BYTES = 1024 * 1024; // as the API takes

/** The file cannot be imported; the message says why, for people. */
export class UnreadableFile extends Error {
  override name = "UnreadableFile";
}

export function toFile(workflow: Workflow): WorkflowFile {
  const { name, description, nodes, connections, timeout, maxQueueSeconds } = workflow;
  return {
    name,
    description,
    nodes,
    connections,
    ...(timeout === null ? {} : { timeout }),
    ...(maxQueueSeconds === null ? {} : { maxQueueSeconds }),
  };
}

/** The name of the file for a workflow: "Answer a letter" is `answer-a-letter.json`. */
export function fileNameOf(name: string): string {
  const words = name
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  return `${words.slice(0, 60) || "workflow"}.json`;
}

export async function readFile(file: File): Promise<WorkflowFile> {
  if (file.size > MAX_FILE_BYTES) throw new UnreadableFile("The file is larger than 1 MiB.");
  return parseFile(await file.text(), file.name.replace(/\.json$/i, ""));
}

/** The workflow in a text; `fallbackName` names one that has no name. */
export function parseFile(text: string, fallbackName: string): WorkflowFile {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new UnreadableFile("The file is not JSON.");
  }
  if (!isObject(document)) throw new UnreadableFile("The file has no workflow.");
  const { name, description, nodes, connections, timeout, maxQueueSeconds } = document;
  if (!isObjects(nodes)) throw new UnreadableFile("The file has no list of nodes.");
  if (connections !== undefined && !isObjects(connections)) {
    throw new UnreadableFile("The connections in the file are no list.");
  }
  return {
    name: typeof name === "string" && name.trim() ? name : fallbackName || "Imported workflow",
    nodes,
    connections: connections ?? [],
    ...(typeof description === "string" ? { description } : {}),
    ...(typeof timeout === "number" ? { timeout } : {}),
    ...(typeof maxQueueSeconds === "number" ? { maxQueueSeconds } : {}),
  };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isObjects(value: unknown): value is JsonObject[] {
  return Array.isArray(value) && value.every(isObject);
}

/** The name of a copy: "Report (copy)", then "Report (copy 2)". */
export function copyName(name: string, taken: readonly string[], longest = 200): string {
  const [, stem = name] = /^(.*?)(?: \(copy(?: \d+)?\))?$/s.exec(name) ?? [];
  for (let number = 1; ; number += 1) {
    const suffix = number === 1 ? " (copy)" : ` (copy ${number})`;
    const candidate = stem.slice(0, longest - suffix.length) + suffix;
    if (!taken.includes(candidate)) return candidate;
  }
}
