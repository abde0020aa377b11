/** What came into a node and what it made of it, in the run that the canvas shows or in the last one. */
import { Alert, Group, Stack, Text } from "@mantine/core";

import type { FullRun } from "@/api/runs";
import { formatDuration } from "@/ui/format";
import { JsonView } from "@/ui/json/JsonView";
import { StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/values";

import classes from "../config/config.module.css";
import type { Scope } from "../model/scope";

interface NodeDataProps {
  nodeId: string;
  run: FullRun | undefined;
  scope: Scope;
}

export function NodeData({ nodeId, run, scope }: NodeDataProps) {
  const step = run?.nodes.find((node) => node.nodeId === nodeId);
  if (!run || !step) {
    return (
      <Text c="dimmed" size="sm">
        Nothing yet. Run the workflow, and what came into this node and what it returned is shown here.
      </Text>
    );
  }
  const message = step.error?.message;
  return (
    <Stack gap="md">
      <Group gap="sm">
        <StatusBadge status={step.status} />
        <Text size="sm" c="dimmed" className="tabular">
          {step.duration === null ? "" : `${formatDuration(step.duration)} · `}
          {step.attempts > 1 ? `${step.attempts} attempts · ` : ""}
          <Time value={run.createdAt} />
        </Text>
      </Group>
      {typeof message === "string" ? (
        <Alert color="red" title="It failed" p="sm">
          {message}
        </Alert>
      ) : null}
      <div>
        <h3 className={classes.section}>Input</h3>
        <JsonView value={scope.data ?? null} label="Input" fileName={`${nodeId}-input.json`} />
      </div>
      {step.status === "success" ? (
        <div>
          <h3 className={classes.section}>Output</h3>
          <JsonView value={step.output ?? null} label="Output" fileName={`${nodeId}-output.json`} />
        </div>
      ) : null}
    </Stack>
  );
}
