/** Runs as rows: state, workflow, when, how long, and what they cost. */
import type { Schemas } from "@/api/client";

import { TextLink } from "./ButtonLink";
import { type Column, DataList } from "./DataList";
import { formatDuration } from "./format";
import { StatusBadge } from "./StatusBadge";
import { Credits, Time } from "./values";

type Run = Schemas["Execution"];

const COLUMNS: Column<Run>[] = [
  {
    key: "workflow",
    header: "Workflow",
    heading: true,
    cell: (run) => (
      <TextLink to="/runs/$runId" params={{ runId: run.id }} fw={600}>
        {run.workflowName}
      </TextLink>
    ),
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

export function RunList({ runs }: { runs: readonly Run[] }) {
  return <DataList label="Runs" rows={runs} columns={COLUMNS} rowKey={(run) => run.id} />;
}
