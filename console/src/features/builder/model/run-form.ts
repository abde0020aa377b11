/** The form with which a workflow is run, from its input nodes. */
import { type Graph, labelOf } from "@/ui/graph/graph";

export type InputType = "text" | "json" | "number" | "file" | "csv" | "any";

export interface RunField {
  /** The key in the run's input; "" is the input as a whole. */
  key: string;
  label: string;
  inputType: InputType;
  required: boolean;
  defaultValue: unknown;
}

const TYPES = new Set<string>(["text", "json", "number", "file", "csv"]);

/**
 * One field for each key. Input nodes without a key read the input as a whole: alone they are its only field; beside
 * others that have keys, the keys are the fields, and the nodes without one get the object that these make.
 */
export function runFields(graph: Graph): RunField[] {
  const fields = new Map<string, RunField>();
  for (const node of graph.nodes) {
    if (node.type !== "input") continue;
    const { key, inputType, required, default: defaultValue } = node.config ?? {};
    const name = typeof key === "string" ? key : "";
    const known = fields.get(name);
    fields.set(name, {
      key: name,
      label: known?.label ?? labelOf(node),
      inputType: known?.inputType ?? (TYPES.has(String(inputType)) ? (inputType as InputType) : "any"),
      required: known?.required === true || required === true || required === "true",
      defaultValue: known?.defaultValue ?? defaultValue,
    });
  }
  const all = [...fields.values()];
  return all.length > 1 ? all.filter(({ key }) => key !== "") : all;
}

/** The text with which a field begins: what the last run got, else the default. */
export function initialText(field: RunField, lastInput: unknown): string {
  const isObject = typeof lastInput === "object" && lastInput !== null && !Array.isArray(lastInput);
  const last =
    field.key === "" ? lastInput : isObject ? (lastInput as Record<string, unknown>)[field.key] : undefined;
  const value = last ?? field.defaultValue;
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

export type Parsed = { value: unknown } | { error: string };

/** The value of a field's text; an empty one is left out of the input. */
export function parseField(field: RunField, text: string): Parsed {
  if (text.trim() === "") {
    const hasDefault =
      field.defaultValue !== undefined && field.defaultValue !== null && field.defaultValue !== "";
    return field.required && !hasDefault ? { error: "This input is required." } : { value: undefined };
  }
  if (field.inputType === "number") {
    const number = Number(text.trim());
    return Number.isFinite(number) ? { value: number } : { error: "Write a number, such as 12.5." };
  }
  if (field.inputType === "json") {
    try {
      return { value: JSON.parse(text) as unknown };
    } catch (error) {
      return { error: `This is not JSON: ${error instanceof Error ? error.message : "it cannot be read"}` };
    }
  }
  if (field.inputType === "any" && /^[[{]|^(?:true|false|null|-?\d+(?:\.\d+)?)$/.test(text.trim())) {
    try {
      return { value: JSON.parse(text) as unknown };
    } catch {
      return { value: text };
    }
  }
  return { value: text };
}

/** The run's input from the texts by key, or the messages at the fields. */
export function runInput(
  fields: readonly RunField[],
  texts: Readonly<Record<string, string>>,
): { input: unknown } | { errors: Record<string, string> } {
  const errors: Record<string, string> = {};
  const values: Record<string, unknown> = {};
  let whole: unknown = null;
  for (const field of fields) {
    const parsed = parseField(field, texts[field.key] ?? "");
    if ("error" in parsed) errors[field.key] = parsed.error;
    else if (field.key === "") whole = parsed.value ?? null;
    else if (parsed.value !== undefined) values[field.key] = parsed.value;
  }
  if (Object.keys(errors).length > 0) return { errors };
  return { input: fields.some(({ key }) => key !== "") ? values : whole };
}
