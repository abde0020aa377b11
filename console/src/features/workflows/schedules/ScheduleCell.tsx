/** The schedules of a workflow in its row: what the next one means, and a button that opens them all. */
import { UnstyledButton } from "@mantine/core";

import { Time } from "@/ui/values";

import { hasGivenUp, nextOf } from "./next";
import type { Schedule } from "./queries";
import classes from "./Schedules.module.css";
import { ownZone } from "./zones";

interface ScheduleCellProps {
  name: string;
  /** Undefined while they are unknown. */
  schedules: readonly Schedule[] | undefined;
  onOpen: () => void;
}

export function ScheduleCell({ name, schedules, onOpen }: ScheduleCellProps) {
  if (!schedules) return <span className={classes.dim}>…</span>;
  const next = nextOf(schedules);
  return (
    <UnstyledButton className={classes.cell ?? ""} aria-label={labelOf(name, schedules)} onClick={onOpen}>
      {next ? (
        <>
          <span className={classes.words}>{next.description}</span>
          <span className={classes.dim}>
            <State schedule={next} />
            {schedules.length > 1 ? ` · ${schedules.length - 1} more` : null}
          </span>
        </>
      ) : (
        <span className={classes.dim}>Add…</span>
      )}
    </UnstyledButton>
  );
}

function State({ schedule }: { schedule: Schedule }) {
  const zone = schedule.timeZone === ownZone() ? null : ` (${schedule.timeZone})`;
  if (hasGivenUp(schedule)) return <span className={classes.bad}>Switched off{zone}</span>;
  if (!schedule.enabled) return <>Paused{zone}</>;
  return (
    <>
      {schedule.lastError ? <span className={classes.bad}>Last time refused, </span> : null}
      next <Time value={schedule.nextRunAt} />
      {zone}
    </>
  );
}

function labelOf(name: string, schedules: readonly Schedule[]): string {
  const next = nextOf(schedules);
  return next ? `Schedules of ${name}: ${next.description}` : `Add a schedule to ${name}`;
}
