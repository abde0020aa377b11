/** Schedules of workflows and what is done with them. */
import { keepPreviousData, queryOptions } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";

export type Schedule = Schemas["Schedule"];
export type ScheduleDetail = Schemas["ScheduleDetail"];
export type Settings = Pick<
  ScheduleDetail,
  "cron" | "timeZone" | "name" | "input" | "maxCredits" | "enabled"
>;

const MOST = 100; // of one response
const FRESH_MS = 60_000; // a run may start every minute

/** The schedules of these workflows, the newest first. */
export function schedulesQuery(workflowIds: readonly string[]) {
  return queryOptions({
    queryKey: keys.schedules.list(workflowIds),
    queryFn: async ({ signal }) => {
      const params = { query: { workflowIds: workflowIds.join(","), limit: MOST } };
      return (await body(api.GET("/schedules", { params, signal }))).schedules;
    },
    refetchInterval: FRESH_MS,
  });
}

export function scheduleQuery({ workflowId, id }: Schedule) {
  return queryOptions({
    queryKey: keys.schedules.one(id),
    queryFn: ({ signal }) => readSchedule(workflowId, id, signal),
  });
}

async function readSchedule(workflowId: string, scheduleId: string, signal?: AbortSignal) {
  const params = { path: { workflowId, scheduleId } };
  const request = { params, ...(signal ? { signal } : {}) };
  return (await body(api.GET("/workflows/{workflowId}/schedules/{scheduleId}", request))).schedule;
}

/** What an expression means, and its next times; refused like a schedule that is saved. */
export function previewQuery(cron: string, timeZone: string) {
  return queryOptions({
    queryKey: keys.schedules.preview(cron, timeZone),
    queryFn: ({ signal }) => body(api.POST("/schedules/preview", { body: { cron, timeZone }, signal })),
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  });
}

export function addSchedule(workflowId: string, settings: Settings, key: string) {
  const params = { path: { workflowId }, header: { "Idempotency-Key": key } };
  return body(api.POST("/workflows/{workflowId}/schedules", { params, body: settings }));
}

export function changeSchedule({ workflowId, id }: Schedule, changes: Partial<Settings>) {
  const params = { path: { workflowId, scheduleId: id } };
  return body(api.PUT("/workflows/{workflowId}/schedules/{scheduleId}", { params, body: changes }));
}

/** Delete a schedule, and return what another one like it is made of. */
export async function removeSchedule({ workflowId, id }: Schedule): Promise<Settings> {
  const { cron, timeZone, name, input, maxCredits, enabled } = await readSchedule(workflowId, id);
  const params = { path: { workflowId, scheduleId: id } };
  await api.DELETE("/workflows/{workflowId}/schedules/{scheduleId}", { params, keepalive: true });
  return { cron, timeZone, name, input, maxCredits, enabled };
}
