/** Runs as rows: state, workflow, when, how long, and what they cost. */
import type { Schemas } from "@/api/client";

import { TextLink } from "./ButtonLink";
import { type Choice, type Column, DataList } from "./DataList";
import { formatDuration } from "./format";
import classes from "./RunList.module.css";
import { StatusBadge } from "./StatusBadge";
import { Credits, Time } from "./values";

type Run = Schemas["Execution"];

const COLUMNS: Column<Run>[] = [
  {
    key: "workflow",
    header: "Workflow",
    heading: true,
    cell: (run) => <RunName run={run} />,
  },
  { key: "status", header: "State", cell: (run) => <StatusBadge status={run.status} /> },
  { key: "started", header: "Started", cell: (run) => <Time value={run.startTime} /> },
  {
    key: "duration",
    header: "Duration",
    numeric: true,
    cell: (run) => (run.duration === null ? "–" : formatDuration(run.duration)),
  },
  { key: "credits", header: "Credits", numeric: true, cell: (run) => <Credits value={run.creditsCharged} /> },
];

/** The workflow's name, the run's tags, and why it failed or waits. */
function RunName({ run }: { run: Run }) {
  const reason = run.error ?? waitOf(run);
  return (
    <div className={classes.name}>
      <TextLink to="/runs/$runId" params={{ runId: run.id }} fw={600}>
        {run.workflowName}
      </TextLink>
      {run.triedNodeId === null ? null : (
        <span className={classes.trial} title={`Only the node ${run.triedNodeId} ran`}>
          Trial
        </span>
      )}
      {run.tags.map((tag) => (
        <span key={tag} className={classes.tag}>
          {tag}
        </span>
      ))}
      {reason ? <span className={classes.reason}>{reason}</span> : null}
    </div>
  );
}

/** Why a run waits for a person, a time or a worker; what its steps do is not said here. */
function waitOf(run: Run): string | null {
  const message = run.status === "waiting" || run.status === "queued" ? run.waitingFor?.message : null;
  return typeof message === "string" ? message : null;
}

interface RunListProps {
  runs: readonly Run[];
  /** Runs to do something with; without it they cannot be chosen. */
  choice?: Choice<Run>;
}

export function RunList({ runs, choice }: RunListProps) {
  return <DataList label="Runs" rows={runs} columns={COLUMNS} rowKey={({ id }) => id} choice={choice} />;
}
