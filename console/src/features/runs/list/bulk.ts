/** Changes of many runs at once. */
import { api, body, type Schemas } from "@/api/client";

import type { ApiFilter } from "./filter";

export type Change = "cancel" | "retry";
export type Outcome = Schemas["BulkOutcome"];
type Page = Promise<{ results: Outcome[]; nextCursor: string | null }>;

const AT_ONCE = 100; // as the API takes

export interface Summary {
  accepted: number;
  /** The sentences of what was refused, each once, with how often. */
  refused: { message: string; count: number }[];
}

export function summaryOf(outcomes: readonly Outcome[]): Summary {
  const counts = new Map<string, number>();
  for (const { accepted, message } of outcomes) {
    if (!accepted) counts.set(message ?? "", (counts.get(message ?? "") ?? 0) + 1);
  }
  const refused = [...counts].map(([message, count]) => ({ message, count }));
  return { accepted: outcomes.filter(({ accepted }) => accepted).length, refused };
}

type Send = (chosen: { ids: string[] } | { filter: Schemas["RunFilterIn"] }) => Page;

/** Change the runs of these ids, a hundred at a time. */
export async function changeByIds(ids: readonly string[], send: Send): Promise<Summary> {
  const outcomes: Outcome[] = [];
  for (let start = 0; start < ids.length; start += AT_ONCE) {
    outcomes.push(...(await send({ ids: ids.slice(start, start + AT_ONCE) })).results);
  }
  return summaryOf(outcomes);
}

/** Change all runs that a filter finds, a hundred at a time. */
export async function changeByFilter(filter: ApiFilter, send: Send): Promise<Summary> {
  const outcomes: Outcome[] = [];
  const none = { workflowId: null, status: null, query: null, tag: null, from: null, to: null };
  for (let cursor: string | null = null; ;) {
    const page: Awaited<Page> = await send({ filter: { ...none, ...filter, cursor } });
    outcomes.push(...page.results);
    if (page.nextCursor === null) return summaryOf(outcomes);
    cursor = page.nextCursor;
  }
}

export function sender(change: Change, newKey: () => string): Send {
  return (chosen) => {
    const which = { ids: null, filter: null, ...chosen };
    if (change === "cancel") return body(api.POST("/executions/cancel", { body: which }));
    const params = { header: { "Idempotency-Key": newKey() } };
    return body(
      api.POST("/executions/retry", { params, body: { ...which, maxCredits: null, version: null } }),
    );
  };
}
