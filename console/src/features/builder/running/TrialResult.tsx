/** What a trial does: its state while it goes on, then the output or the error, and what it cost. */
import { Alert, Group, Stack, Text } from "@mantine/core";

import { ButtonLink } from "@/ui/ButtonLink";
import { formatDuration } from "@/ui/format";
import { JsonView } from "@/ui/json/JsonView";
import { ErrorState } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Credits } from "@/ui/values";

import classes from "../config/config.module.css";
import { CancelRun } from "./CancelRun";
import { useLiveRun } from "./useLiveRun";

export function TrialResult({ runId, nodeId }: { runId: string; nodeId: string }) {
  const { run, error } = useLiveRun(runId);
  if (error) return <ErrorState error={error} />;
  if (!run) return null;
  const step = run.nodes.find((node) => node.nodeId === nodeId);
  const waits = run.waitingFor?.message;
  return (
    <Stack gap="sm" role="region" aria-label="Trial">
      <Group gap="sm">
        <StatusBadge status={run.status} />
        <Text size="sm" c="dimmed" className="tabular">
          {run.duration === null ? "" : `${formatDuration(run.duration)} · `}
          <Credits value={run.creditsCharged} unit />
          {step && step.attempts > 1 ? ` · ${step.attempts} attempts` : ""}
        </Text>
        <span style={{ flex: 1 }} />
        <CancelRun run={run} />
        <ButtonLink size="xs" variant="light" to="/runs/$runId" params={{ runId }}>
          Details
        </ButtonLink>
      </Group>
      {typeof waits === "string" && run.status === "waiting" ? <Text size="sm">{waits}</Text> : null}
      {run.error ? (
        <Alert color="red" title="It failed" p="sm">
          {run.error}
        </Alert>
      ) : null}
      {step?.port ? (
        <Text size="sm">
          It leaves by <b>{step.port}</b>.
        </Text>
      ) : null}
      {step?.status === "success" ? (
        <div>
          <h3 className={classes.section}>Output</h3>
          <JsonView
            value={step.output ?? null}
            label="Output of the trial"
            fileName={`${nodeId}-output.json`}
          />
        </div>
      ) : null}
    </Stack>
  );
}
