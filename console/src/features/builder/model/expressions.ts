/** Texts with expressions: where in them one is being written, and the functions that it may call. */
import { type ExpressionMode, isTemplate } from "./schema-form";
import type { Scope } from "./scope";

/** The expression before a place of a text, null where the text is only a text. */
export function expressionBefore(text: string, at: number, mode: ExpressionMode): string | null {
  const before = text.slice(0, at);
  if (mode !== "template") return before.slice(before.lastIndexOf("{{") + 1).replace(/^\{/, "");
  const opened = before.lastIndexOf("{{");
  return opened === -1 || before.includes("}}", opened) ? null : before.slice(opened + 2);
}

/** Whether the result of a text can be shown: it holds an expression, and there was a run whose data it reads. */
export function evaluates(text: string, mode: ExpressionMode, scope: Scope): boolean {
  const { id } = (scope.execution ?? {}) as { id?: string };
  return Boolean(id) && text.trim() !== "" && (mode !== "template" || isTemplate(text));
}

/** The functions besides those of JavaScript, with what they take. */
export const FUNCTIONS: Readonly<Record<string, string>> = {
  now: "()",
  formatDate: "(date, pattern, zone)",
  parseDate: "(text, pattern, zone)",
  addTime: "(date, amounts, zone)",
  startOf: "(date, unit, zone)",
  timeBetween: "(from, to, unit, zone)",
  dateParts: "(date, zone)",
  groupBy: "(list, by)",
  countBy: "(list, by)",
  keyBy: "(list, by)",
  uniqueBy: "(list, by)",
  sortBy: "(list, by, order)",
  sum: "(list, by)",
  average: "(list, by)",
  range: "(from, to, step)",
  chunk: "(list, size)",
  pick: "(object, ...names)",
  omit: "(object, ...names)",
  merge: "(...objects)",
  urlEncode: "(value)",
  queryString: "(object)",
  slug: "(text)",
  parseCsv: "(text, options)",
  toCsv: "(list, columns)",
  parseXml: "(text)",
  toXml: "(object)",
  base64: "(text)",
  base64Url: "(text)",
  hex: "(text)",
  fromBase64: "(text)",
  sha256: "(text, encoding)",
  sha1: "(text, encoding)",
  hmac: "(key, text, encoding, hash)",
  uuid: "()",
};
