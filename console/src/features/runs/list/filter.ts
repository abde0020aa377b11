/** The filter of the list of runs, as the address holds it and as the API takes it. */
import type { RunStatus } from "@/api/runs";

export const STATUSES: readonly RunStatus[] = [
  "queued",
  "running",
  "waiting",
  "cancelling",
  "success",
  "failed",
  "cancelled",
];

/** How far back the list goes, in hours. */
export const PERIODS = { "1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24 } as const;
export type Period = keyof typeof PERIODS;

export interface RunFilter {
  status?: RunStatus;
  workflowId?: string;
  query?: string;
  tag?: string;
  /** A period before now, instead of `from` and `to`. */
  within?: Period;
  /** Moments of the viewer's zone, such as "2026-11-30T12:00". */
  from?: string;
  to?: string;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const LOCAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/;

/** What is no part of a filter is left out, whoever wrote the address. */
export function readFilter(search: Record<string, unknown>): RunFilter {
  const status = STATUSES.find((known) => known === search.status);
  const { workflowId, within, from, to } = search;
  const query = wordOf(search.query, 200);
  const tag = wordOf(search.tag, 40);
  return {
    ...(status ? { status } : {}),
    ...(typeof workflowId === "string" && UUID.test(workflowId) ? { workflowId } : {}),
    ...(query ? { query } : {}),
    ...(tag ? { tag } : {}),
    ...(typeof within === "string" && within in PERIODS ? { within: within as Period } : {}),
    ...(typeof from === "string" && LOCAL.test(from) ? { from } : {}),
    ...(typeof to === "string" && LOCAL.test(to) ? { to } : {}),
  };
}

/** Numbers too: "404" in an address is read as one. */
function wordOf(value: unknown, longest: number): string | null {
  if (typeof value !== "string" && typeof value !== "number") return null;
  return String(value).slice(0, longest) || null;
}

export interface ApiFilter {
  status?: RunStatus;
  workflowId?: string;
  query?: string;
  tag?: string;
  from?: string;
  to?: string;
}

export function toApi({ within, from, to, ...rest }: RunFilter, now: Date): ApiFilter {
  if (within) return { ...rest, from: new Date(now.getTime() - PERIODS[within] * 3_600_000).toISOString() };
  return {
    ...rest,
    ...(from ? { from: new Date(from).toISOString() } : {}),
    ...(to ? { to: new Date(to).toISOString() } : {}),
  };
}

export function isFiltered(filter: RunFilter): boolean {
  return Object.keys(filter).length > 0;
}

export function without(filter: RunFilter, name: keyof RunFilter): RunFilter {
  return Object.fromEntries(Object.entries(filter).filter(([other]) => other !== name));
}
