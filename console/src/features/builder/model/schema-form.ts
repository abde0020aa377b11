/** The fields of a form, from the JSON Schema of a node type's config or of the options. */

export type FieldKind =
  | "text"
  | "choice"
  | "number"
  | "flag"
  | "value"
  | "list"
  | "object"
  | "expression"
  | "condition"
  | "code"
  | "cases";

/** How a text is read: with {{ }} in it, as one expression, as the body of a function, or as either of these. */
export type ExpressionMode = "template" | "expression" | "body" | "either";

export interface Field {
  name: string;
  kind: FieldKind;
  title: string;
  help: string;
  required: boolean;
  options: string[];
  defaultValue: unknown;
  example: unknown;
  unit: string | null;
  format: string | null;
  mode: ExpressionMode | null;
  minimum: number | null;
  maximum: number | null;
  maxLength: number | null;
}

type Schema = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const textOr = <T>(value: unknown, other: T) => (typeof value === "string" ? value : other);
const numberOr = (value: unknown) => (typeof value === "number" ? value : null);

const KINDS = new Set<string>([
  "text",
  "choice",
  "number",
  "flag",
  "value",
  "list",
  "object",
  "expression",
  "condition",
  "code",
  "cases",
]);

/** The kind that a schema names; without a name it follows from its type. */
function kindOf(schema: Schema): FieldKind {
  const named = schema["x-kind"];
  if (typeof named === "string" && KINDS.has(named)) return named as FieldKind;
  if (Array.isArray(schema.enum)) return "choice";
  const kinds: Record<string, FieldKind> = {
    string: "text",
    number: "number",
    integer: "number",
    boolean: "flag",
    array: "list",
    object: "object",
  };
  return kinds[textOr(schema.type, "")] ?? "value";
}

function fieldOf(name: string, schema: Schema, required: boolean): Field {
  // A number may also be an expression: its limits stand in the first of the alternatives.
  const [first] = Array.isArray(schema.anyOf) ? (schema.anyOf as Schema[]) : [];
  const limits = { ...first, ...schema };
  return {
    name,
    kind: kindOf(schema),
    title: textOr(schema.title, name),
    help: textOr(schema.description, ""),
    required,
    options: Array.isArray(schema.enum) ? schema.enum.map(String) : [],
    defaultValue: schema.default,
    example: Array.isArray(schema.examples) ? (schema.examples[0] as unknown) : undefined,
    unit: textOr(schema["x-unit"], null),
    format: textOr(schema["x-format"], null),
    mode: textOr(schema["x-expressions"], null) as ExpressionMode | null,
    minimum: numberOr(limits.minimum) ?? numberOr(limits.exclusiveMinimum),
    maximum: numberOr(limits.maximum),
    maxLength: numberOr(limits.maxLength),
  };
}

/** Whether the other values let a field appear: each name in `x-when` has one of its values, or its default is one. */
function appears(schema: Schema, properties: Schema, values: Schema): boolean {
  const when = schema["x-when"];
  if (!isObject(when)) return true;
  return Object.entries(when).every(([name, allowed]) => {
    const other = properties[name];
    const given = values[name] ?? (isObject(other) ? other.default : undefined);
    return Array.isArray(allowed) && allowed.includes(given);
  });
}

/** The properties that an `if` / `then` of the schema puts in the place of others, for these values. */
function replaced(schema: Schema, values: Schema): Record<string, Schema> {
  const rules = Array.isArray(schema.allOf) ? (schema.allOf as Schema[]) : [];
  const found: Record<string, Schema> = {};
  for (const rule of rules) {
    const [condition, then] = [rule.if, rule.then];
    if (!isObject(condition) || !isObject(then) || !isObject(condition.properties)) continue;
    const holds = Object.entries(condition.properties).every(
      ([name, wanted]) => isObject(wanted) && values[name] === wanted.const,
    );
    if (holds && isObject(then.properties)) Object.assign(found, then.properties);
  }
  return found;
}

/** The fields to show for a config: in the order of the schema, without those that its other values rule out. */
export function fieldsOf(schema: Schema, values: Schema): Field[] {
  if (!isObject(schema.properties)) return [];
  const properties = { ...schema.properties, ...replaced(schema, values) };
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  return Object.entries(properties).flatMap(([name, property]) =>
    isObject(property) && appears(property, properties, values)
      ? [fieldOf(name, property, required.has(name))]
      : [],
  );
}

/** Values of the config that no field shows, such as those of another operation. */
export function hiddenValues(schema: Schema, values: Schema): string[] {
  const shown = new Set(fieldsOf(schema, values).map(({ name }) => name));
  return Object.keys(values).filter(
    (name) => !shown.has(name) && values[name] !== null && values[name] !== "",
  );
}

/** Whether a value holds an expression rather than the value itself. */
export function isTemplate(value: unknown): value is string {
  return typeof value === "string" && value.includes("{{");
}

/** A name of the API as words: "ai_agent" and "maxTokens" become "Ai agent" and "Max tokens". */
export function wordsOf(name: string): string {
  const words = name
    .replaceAll("_", " ")
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
