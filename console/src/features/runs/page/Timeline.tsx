/** The steps of a run in time: one bar for each, which opens what the step did. */
import { useEffect, useState } from "react";

import { type FullRun, isEnded } from "@/api/runs";
import { formatDuration } from "@/ui/format";
import { StatusBadge } from "@/ui/StatusBadge";
import { Credits } from "@/ui/values";

import { type TimelineRow, timelineOf } from "./timeline";
import classes from "./Timeline.module.css";

const TICK_MS = 500;

/** The present, which moves while the run does. */
function useNow(moves: boolean): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    if (!moves) return;
    const timer = setInterval(() => setNow(new Date()), TICK_MS);
    return () => clearInterval(timer);
  }, [moves]);
  return now;
}

export function Timeline({ run, onOpen }: { run: FullRun; onOpen: (nodeId: string) => void }) {
  const now = useNow(!isEnded(run.status));
  return (
    <ol className={classes.list} aria-label="Steps">
      {timelineOf(run, now).map((row) => (
        <li key={row.step.nodeId}>
          <button type="button" className={classes.row} onClick={() => onOpen(row.step.nodeId)}>
            <span className={classes.label} style={{ paddingLeft: `${row.depth}rem` }}>
              {row.step.label}
            </span>
            <span className={classes.state}>
              <StatusBadge status={row.step.status} />
            </span>
            <Bar row={row} />
            <span className={classes.numbers}>
              <Facts row={row} now={now} />
            </span>
          </button>
        </li>
      ))}
    </ol>
  );
}

function Bar({ row: { bar, step } }: { row: TimelineRow }) {
  return (
    <span className={classes.track} aria-hidden>
      {bar ? (
        <span
          className={classes.bar}
          data-status={step.status}
          style={{ left: `${bar.start * 100}%`, width: `${bar.length * 100}%` }}
        />
      ) : null}
    </span>
  );
}

function Facts({ row: { step }, now }: { row: TimelineRow; now: Date }) {
  const seconds =
    step.startedAt && !step.finishedAt ? (now.getTime() - Date.parse(step.startedAt)) / 1000 : step.duration;
  const goesOn = step.status === "running" || step.status === "waiting";
  return (
    <>
      {step.iterations ? <span>{`${step.iterations.done} of ${step.iterations.total}`}</span> : null}
      {step.attempts > 1 && !step.iterations ? <span>{`${step.attempts} attempts`}</span> : null}
      <span>
        {seconds === null || (!goesOn && step.duration === null) ? "–" : formatDuration(Math.max(0, seconds))}
      </span>
      <span className={classes.credits}>
        <Credits value={step.credits} />
      </span>
    </>
  );
}
