/** The schedules of a workflow in its row: what the next one means, and a button that opens them all. */
import { UnstyledButton, VisuallyHidden } from "@mantine/core";

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
    <UnstyledButton className={classes.cell ?? ""} onClick={onOpen}>
      {next ? (
        <>
          <VisuallyHidden>Schedules of {name}: </VisuallyHidden>
          <span className={classes.words}>{next.description}</span>
          <span className={classes.dim}>
            <State schedule={next} />
            {schedules.length > 1 ? ` · ${schedules.length - 1} more` : null}
          </span>
        </>
      ) : (
        <span className={classes.add}>
          Add <VisuallyHidden>a schedule to {name}</VisuallyHidden>
        </span>
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
