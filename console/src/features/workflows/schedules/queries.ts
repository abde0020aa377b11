/** Schedules of workflows and what is done with them. */
import { keepPreviousData, queryOptions } from "@tanstack/react-query";

import { api, body, type Schemas, tagOf } from "@/api/client";
import { keys } from "@/api/keys";
import { ApiError } from "@/api/problem";

export type Schedule = Schemas["Schedule"];
export type ScheduleDetail = Schemas["ScheduleDetail"];
export type Settings = Pick<
  ScheduleDetail,
  "cron" | "timeZone" | "name" | "input" | "maxCredits" | "enabled"
>;

type Reference = Pick<Schedule, "workflowId" | "id">;

/** A schedule and the tag of its settings, which goes with each change that must not overwrite another one. */
export interface Stored {
  schedule: ScheduleDetail;
  tag: string;
}

/** A schedule has other settings than those that were read; `stored` is what it is by now. */
export class ChangedMeanwhile extends Error {
  override name = "ChangedMeanwhile";

  constructor(readonly stored: Stored) {
    super("Another tab or device changed this schedule meanwhile.");
  }
}

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

/** Read anew whenever a form opens: what is edited afterwards is the form's. */
export function scheduleQuery(schedule: Reference) {
  return queryOptions({
    queryKey: keys.schedules.one(schedule.id),
    queryFn: ({ signal }) => readSchedule(schedule, signal),
    gcTime: 0,
    staleTime: Infinity,
  });
}

async function readSchedule({ workflowId, id }: Reference, signal?: AbortSignal): Promise<Stored> {
  const params = { path: { workflowId, scheduleId: id } };
  const request = { params, ...(signal ? { signal } : {}) };
  const call = await api.GET("/workflows/{workflowId}/schedules/{scheduleId}", request);
  return { schedule: (await body(Promise.resolve(call))).schedule, tag: tagOf(call.response) };
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

/** Pause a schedule, or let it go on: without If-Match, because that is meant whatever else was changed meanwhile. */
export function switchSchedule({ workflowId, id }: Reference, enabled: boolean) {
  const params = { path: { workflowId, scheduleId: id } };
  return body(api.PUT("/workflows/{workflowId}/schedules/{scheduleId}", { params, body: { enabled } }));
}

/** Change a schedule that was read; throws `ChangedMeanwhile` if it is another one by now. */
export function changeSchedule({ schedule, tag }: Stored, changes: Partial<Settings>) {
  const { workflowId, id } = schedule;
  const params = { path: { workflowId, scheduleId: id }, header: { "If-Match": tag } };
  return unlessChanged(
    schedule,
    api.PUT("/workflows/{workflowId}/schedules/{scheduleId}", { params, body: changes }),
  );
}

/** Delete a schedule, and return what another one like it is made of: exactly what is deleted, by its tag. */
export async function removeSchedule(reference: Reference): Promise<Settings> {
  const { schedule, tag } = await readSchedule(reference);
  const { workflowId, id, cron, timeZone, name, input, maxCredits, enabled } = schedule;
  const params = { path: { workflowId, scheduleId: id }, header: { "If-Match": tag } };
  await unlessChanged(
    schedule,
    api.DELETE("/workflows/{workflowId}/schedules/{scheduleId}", { params, keepalive: true }),
  );
  return { cron, timeZone, name, input, maxCredits, enabled };
}

/** A change with If-Match, whose refusal brings the schedule as it is now. */
async function unlessChanged(reference: Reference, change: Promise<unknown>): Promise<void> {
  try {
    await change;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 412) throw error;
    throw new ChangedMeanwhile(await readSchedule(reference));
  }
}
