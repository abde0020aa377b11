/** One run: its state, its steps and what it cost. */
import { Stack, Text } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { type Column, DataList } from "@/ui/DataList";
import { formatDuration } from "@/ui/format";
import { PageHeader } from "@/ui/PageHeader";
import { Figure, Figures, Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Credits, Time } from "@/ui/values";

const route = getRouteApi("/shell/runs/$runId");
const ENDED = new Set(["success", "failed", "cancelled"]);
const POLL_MS = 2000;

function runQuery(id: string) {
  return queryOptions({
    queryKey: keys.runs.one(id),
    queryFn: ({ signal }) =>
      body(api.GET("/executions/{executionId}", { params: { path: { executionId: id } }, signal })),
    refetchInterval: (query) => (ENDED.has(query.state.data?.status ?? "") ? false : POLL_MS),
  });
}

type Step = Schemas["Node"];

const COLUMNS: Column<Step>[] = [
  { key: "label", header: "Step", heading: true, cell: (step) => step.label },
  { key: "type", header: "Type", cell: (step) => step.type },
  { key: "status", header: "State", cell: (step) => <StatusBadge status={step.status} /> },
  {
    key: "duration",
    header: "Duration",
    numeric: true,
    cell: (step) => (step.duration === null ? "–" : formatDuration(step.duration)),
  },
  { key: "credits", header: "Credits", numeric: true, cell: (step) => <Credits value={step.credits} /> },
];

export function RunPage() {
  const { runId } = route.useParams();
  const run = useQuery(runQuery(runId));
  const name = run.data?.workflowName ?? "Run";
  return (
    <>
      <PageHeader title={name} />
      <Loaded query={run}>
        {(execution) => (
          <Stack>
            <Figures>
              <Figure label="State">
                <StatusBadge status={execution.status} />
              </Figure>
              <Figure label="Started">
                <Time value={execution.startTime} />
              </Figure>
              <Figure label="Duration">
                {execution.duration === null ? "–" : formatDuration(execution.duration)}
              </Figure>
              <Figure label="Credits" note={<>of at most {execution.maxCredits}</>}>
                <Credits value={execution.creditsCharged} />
              </Figure>
            </Figures>
            {execution.error ? <Text c="red">{execution.error}</Text> : null}
            <Section title="Steps">
              <DataList
                label="Steps"
                rows={execution.nodes}
                columns={COLUMNS}
                rowKey={(step) => step.nodeId}
              />
            </Section>
          </Stack>
        )}
      </Loaded>
    </>
  );
}
