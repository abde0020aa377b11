/** One run, live: what it does, why it waits, what went in and came out, and what it cost. */
import { Alert, Paper, Progress, Stack, Text } from "@mantine/core";
import { IconCircleX, IconPlugConnectedX } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { useRunStream } from "@/api/live/useRunStream";
import { doneWord, type FullRun, isEnded, runLogQuery, runQuery } from "@/api/runs";
import { TextLink } from "@/ui/ButtonLink";
import { formatDuration } from "@/ui/format";
import { PageHeader } from "@/ui/PageHeader";
import { Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Credits, Time } from "@/ui/values";

import { RunActions } from "./RunActions";
import classes from "./RunPage.module.css";
import { RunParts } from "./RunParts";
import { triedLabel } from "./trial";
import { WaitCard } from "./WaitCard";

const route = getRouteApi("/shell/runs/$runId");

export function RunPage() {
  const { runId } = route.useParams();
  return <LiveRun key={runId} runId={runId} />;
}

function LiveRun({ runId }: { runId: string }) {
  const run = useQuery(runQuery(runId));
  const log = useQuery(runLogQuery(runId, useQueryClient()));
  const connection = useRunStream(runId, log.data, run.data ? isEnded(run.data.status) : false);
  const { data } = run;
  return (
    <>
      <PageHeader
        title={data?.workflowName ?? "Run"}
        description={data ? <Origin run={data} /> : undefined}
        actions={data ? <RunActions run={data} /> : undefined}
      />
      <Loaded query={run}>
        {(execution) => (
          <Stack gap="lg">
            {connection === "lost" && !run.isError ? <ConnectionLost /> : null}
            <Summary run={execution} />
            {execution.error ? <Failure run={execution} /> : null}
            <WaitCard run={execution} />
            <RunParts run={execution} log={log} />
          </Stack>
        )}
      </Loaded>
    </>
  );
}

function Origin({ run }: { run: FullRun }) {
  const tried = triedLabel(run);
  return (
    <>
      <TextLink
        to="/workflows/$workflowId"
        params={{ workflowId: run.workflowId }}
        underline={tried === null ? "hover" : "always"}
      >
        {tried !== null
          ? `Trial of “${tried}”`
          : run.workflowVersion === null
            ? "Workflow"
            : `Version ${run.workflowVersion}`}
      </TextLink>
      {tried === null ? null : ": only this node runs, with pinned data in place of the nodes before it"}
      {run.retryOf ? (
        <>
          {" · retries "}
          <TextLink to="/runs/$runId" params={{ runId: run.retryOf }}>
            an earlier run
          </TextLink>
        </>
      ) : null}
      {run.scheduledFor ? (
        <>
          {" · started by a schedule for "}
          <Time value={run.scheduledFor} exact />
        </>
      ) : null}
      {run.parentExecutionId ? (
        <>
          {" · started by "}
          <TextLink to="/runs/$runId" params={{ runId: run.parentExecutionId }}>
            another run
          </TextLink>
        </>
      ) : null}
    </>
  );
}

/** What is shown may be old. It appears only when the connection does not come back at once. */
function ConnectionLost() {
  return (
    <div className={classes.lost} role="status">
      <IconPlugConnectedX size={18} aria-hidden />
      The connection is lost; trying again. The run goes on meanwhile.
    </div>
  );
}

function Failure({ run }: { run: FullRun }) {
  const isCancelled = run.status === "cancelled";
  return (
    <Alert
      color={isCancelled ? "gray" : "red"}
      icon={<IconCircleX aria-hidden />}
      title={isCancelled ? "This run was cancelled" : "This run failed"}
    >
      <Text size="sm" className={classes.text}>
        {run.error}
      </Text>
    </Alert>
  );
}

function Summary({ run }: { run: FullRun }) {
  return (
    <Paper p="md">
      <dl className={classes.summary}>
        <Fact name="State">
          <StatusBadge status={run.status} />
        </Fact>
        <Fact name="Steps">{doneWord(run)}</Fact>
        <Fact name={run.status === "queued" ? "Submitted" : "Started"}>
          <Time value={run.startTime} />
        </Fact>
        <Fact name="Duration">{run.duration === null ? "–" : formatDuration(run.duration)}</Fact>
        <Fact name="Credits">
          <Credits value={run.creditsCharged} />
          <span className={classes.most}>
            {" of at most "}
            <Credits value={run.maxCredits} />
          </span>
        </Fact>
      </dl>
      {isEnded(run.status) ? null : (
        <Progress mt="sm" size="sm" value={run.progress} aria-label={`${run.progress} percent done`} />
      )}
    </Paper>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
