/** The fields for a run's input, made from the input nodes of its graph. */
import { type Graph, type GraphNode, labelOf } from "@/ui/graph/graph";

export type InputType = "text" | "json" | "number" | "file" | "csv" | "any";

export interface InputField {
  /** The field of the input that it fills; null if it is the whole input. */
  key: string | null;
  label: string;
  type: InputType;
  required: boolean;
  /** What the node takes when nothing is given, as text. */
  fallback: string | null;
}

const TYPES = new Set<string>(["text", "json", "number", "file", "csv"]);

/**
 * One field for each key that input nodes read, or one for the whole input. Nodes of the same key share the field of
 * the first of them, which is required if one of them has no default.
 */
export function inputFields(graph: Graph): InputField[] {
  const fields = graph.nodes.filter(({ type }) => type === "input").map(fieldOf);
  const keyed = fields.filter(({ key }) => key !== null);
  const shown = keyed.length > 0 ? keyed : fields.slice(0, 1);
  return [...new Map(shown.toReversed().map((field) => [field.key, field])).values()]
    .toReversed()
    .map((field) => ({
      ...field,
      required: shown.some(({ key, required }) => key === field.key && required),
    }));
}

function fieldOf(node: GraphNode): InputField {
  const { key, inputType, required, default: fallback } = node.config ?? {};
  const type = typeof inputType === "string" && TYPES.has(inputType) ? (inputType as InputType) : "any";
  const hasFallback = fallback !== undefined && fallback !== null && fallback !== "";
  return {
    key: typeof key === "string" && key !== "" ? key : null,
    label: labelOf(node),
    type,
    required: (required === true || required === "true") && !hasFallback,
    fallback: hasFallback ? textOf(type, fallback) : null,
  };
}

/** A value as the text from which the field of this type reads it. */
function textOf(type: InputType, value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  return type === "json" || (type === "any" && isJson(value)) ? JSON.stringify(value) : value;
}

/** The name of a field in the form. */
export const nameOf = (field: InputField): string => field.key ?? "";

export type Texts = Readonly<Record<string, string>>;

/** The texts with which a form begins: what the last run got, else the defaults. */
export function initialTexts(fields: readonly InputField[], lastInput: unknown): Texts {
  const isObject = typeof lastInput === "object" && lastInput !== null && !Array.isArray(lastInput);
  const texts = fields.map((field): [string, string] => {
    const last: unknown =
      field.key === null
        ? lastInput
        : isObject
          ? (lastInput as Record<string, unknown>)[field.key]
          : undefined;
    return [
      nameOf(field),
      last === undefined || last === null ? (field.fallback ?? "") : textOf(field.type, last),
    ];
  });
  return Object.fromEntries(texts);
}

/** What is wrong with the texts of a form, by the names of its fields. */
export function problemsOf(fields: readonly InputField[], texts: Texts): Record<string, string> {
  const found = fields.map((field): [string, string | null] => [
    nameOf(field),
    problemOf(field, (texts[nameOf(field)] ?? "").trim()),
  ]);
  return Object.fromEntries(found.filter((entry): entry is [string, string] => entry[1] !== null));
}

function problemOf(field: InputField, text: string): string | null {
  if (text === "") return field.required ? "This workflow needs it." : null;
  if (field.type === "number" && !Number.isFinite(Number(text))) return "Write a number, such as 12.5.";
  const fault = field.type === "json" ? jsonFault(text) : null;
  return fault === null ? null : `This is not JSON: ${fault}`;
}

/** The input of the run, from texts without problems; null if nothing is given. */
export function inputOf(fields: readonly InputField[], texts: Texts): unknown {
  const given = fields
    .map((field) => ({ field, text: texts[nameOf(field)] ?? "" }))
    .filter(({ text }) => text.trim() !== "");
  if (given.length === 0) return null;
  const [first] = given;
  if (first?.field.key === null) return valueOf(first.field, first.text);
  return Object.fromEntries(given.map(({ field, text }) => [nameOf(field), valueOf(field, text)]));
}

function valueOf({ type }: InputField, text: string): unknown {
  if (type === "number") {
    // A number that JavaScript cannot keep exactly goes as its digits, which the API reads.
    const value = Number(text);
    return Number.isInteger(value) && !Number.isSafeInteger(value) ? text.trim() : value;
  }
  if (type === "json" || (type === "any" && isJson(text))) return JSON.parse(text) as unknown;
  return text;
}

const isJson = (text: string): boolean => jsonFault(text) === null;

/** Why a text is not JSON; null if it is. */
function jsonFault(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : "it cannot be read.";
  }
}
