/** Changes of a workflow's schedules. */
import { notifications } from "@mantine/notifications";
import { useMutation, useQueries, useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";

import { keys } from "@/api/keys";
import { messageOf } from "@/api/problem";
import { useDeletion } from "@/ui/useDeletion";

import { addSchedule, removeSchedule, type Schedule, schedulesQuery, switchSchedule } from "./queries";

/** The schedules by their workflows, each page of workflows asked for at once; undefined while they are unknown. */
export function useSchedulesByWorkflow(pages: readonly (readonly { id: string }[])[]) {
  const found = useQueries({
    queries: pages.map((page) => ({
      ...schedulesQuery(page.map(({ id }) => id)),
      enabled: page.length > 0,
    })),
  });
  const byWorkflow = new Map<string, Schedule[]>();
  pages.forEach((page, index) => {
    const { data, isError } = found[index] ?? {};
    if (!data && !isError) return;
    for (const { id } of page) byWorkflow.set(id, []);
    for (const schedule of data ?? []) byWorkflow.get(schedule.workflowId)?.push(schedule);
  });
  return byWorkflow;
}

export function useRefreshSchedules() {
  const client = useQueryClient();
  return () => client.invalidateQueries({ queryKey: keys.schedules.all });
}

/** Pause a schedule, or let it go on. */
export function useSwitch() {
  const refresh = useRefreshSchedules();
  return useMutation({
    mutationFn: (schedule: Schedule) => switchSchedule(schedule, !schedule.enabled),
    onSuccess: refresh,
    onError: (error) =>
      notifications.show({
        color: "red",
        title: "It was not changed",
        message: messageOf(error),
        autoClose: false,
      }),
  });
}

/** Delete a schedule at once, and offer to make one like it. Its `name` is what it is called then. */
export function useRemoveSchedule() {
  const refresh = useRefreshSchedules();
  const removed = useRef(new Map<string, () => Promise<unknown>>());
  return useDeletion<Schedule>({
    remove: async (schedule) => {
      const settings = await removeSchedule(schedule);
      removed.current.set(schedule.id, () => addSchedule(schedule.workflowId, settings, crypto.randomUUID()));
    },
    restore: async (id) => removed.current.get(id)?.(),
    refresh,
  });
}
