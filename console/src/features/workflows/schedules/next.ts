/** Which of a workflow's schedules comes next. */
import type { Schedule } from "./queries";

const MAX_REFUSALS = 10; // after which the service switches a schedule off

/** The schedule whose time comes first; without one that is on, the newest. */
export function nextOf(schedules: readonly Schedule[]): Schedule | undefined {
  const on = schedules.filter(({ nextRunAt }) => nextRunAt !== null);
  const [first = schedules[0]] = on.sort((one, other) => timeOf(one) - timeOf(other));
  return first;
}

/** Whether the service switched it off, because it started no run many times. */
export function hasGivenUp({ enabled, refusals }: Pick<Schedule, "enabled" | "refusals">): boolean {
  return !enabled && refusals >= MAX_REFUSALS;
}

function timeOf({ nextRunAt }: Schedule): number {
  return nextRunAt === null ? Infinity : Date.parse(nextRunAt);
}
