/** Runs: their lists, one of them, and its log. */
import { type QueryClient, queryOptions } from "@tanstack/react-query";

import { api, body, type Schemas } from "./client";
import { keys } from "./keys";

export type Run = Schemas["Execution"];
export type FullRun = Schemas["FullExecution"];
export type LogEntry = Schemas["Log"];
export type RunStatus = Run["status"];

const ENDED: ReadonlySet<string> = new Set<RunStatus>(["success", "failed", "cancelled"]);
const LOG_PAGE = 1000;

/** How many of the newest runs the home screen shows. */
export const RECENT_RUNS = 8;

/** Whether a run does no more, whatever happens. */
export function isEnded(status: string): boolean {
  return ENDED.has(status);
}

const DONE: ReadonlySet<string> = new Set(["success", "failed", "skipped", "cancelled"]);

/** How many of its steps a run is done with, as "3 of 5"; one in a loop is done once all of its iterations are. */
export function doneWord({ nodes }: Pick<FullRun, "nodes">): string {
  return `${nodes.filter(({ status }) => DONE.has(status)).length} of ${nodes.length}`;
}

export function runsQuery(query: { limit?: number; status?: RunStatus } = {}) {
  return queryOptions({
    queryKey: keys.runs.list(query),
    queryFn: ({ signal }) => body(api.GET("/executions", { params: { query }, signal })),
  });
}

export function runQuery(id: string) {
  return queryOptions({
    queryKey: keys.runs.one(id),
    queryFn: ({ signal }) =>
      body(api.GET("/executions/{executionId}", { params: { path: { executionId: id } }, signal })),
  });
}

/** The log so far; what comes later is added by the stream. */
export function runLogQuery(id: string, client: QueryClient) {
  const queryKey = keys.runs.logs(id);
  return queryOptions({
    queryKey,
    queryFn: async ({ signal }) => {
      const entries = [...(client.getQueryData<LogEntry[]>(queryKey) ?? [])];
      for (;;) {
        const query = { limit: LOG_PAGE, after: entries.at(-1)?.seq ?? 0 };
        const params = { path: { executionId: id }, query };
        const { logs } = await body(api.GET("/executions/{executionId}/logs", { params, signal }));
        entries.push(...logs);
        if (logs.length < LOG_PAGE) return entries;
      }
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** The log with new entries at its end; those that it has are left out. */
export function withEntries(log: readonly LogEntry[], added: readonly LogEntry[]): LogEntry[] {
  const last = log.at(-1)?.seq ?? 0;
  return [...log, ...added.filter(({ seq }) => seq > last)];
}
