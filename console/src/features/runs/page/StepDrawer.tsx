/** What one step of a run did: state, times, error, output, and the runs that it started. */
import { Alert, Drawer, Stack, Text } from "@mantine/core";
import { IconCircleX } from "@tabler/icons-react";
import type { ReactNode } from "react";

import type { FullRun } from "@/api/runs";
import { TextLink } from "@/ui/ButtonLink";
import { useIsDesk } from "@/ui/useIsDesk";
import { formatDuration } from "@/ui/format";
import { JsonView } from "@/ui/json/JsonView";
import { StatusBadge } from "@/ui/StatusBadge";
import { Credits, Time } from "@/ui/values";

import { Iterations } from "./Iterations";
import { StepData } from "./StepData";
import classes from "./StepDrawer.module.css";
import type { Step } from "./timeline";

interface StepDrawerProps {
  run: FullRun;
  nodeId: string | undefined;
  /** The iteration, if the node is in a loop. */
  path: string | undefined;
  onSelect: (path: string) => void;
  onClose: () => void;
}

export function StepDrawer({ run, nodeId, path, onSelect, onClose }: StepDrawerProps) {
  const isDesk = useIsDesk();
  const step = run.nodes.find((node) => node.nodeId === nodeId);
  return (
    <Drawer
      opened={step !== undefined}
      onClose={onClose}
      position={isDesk ? "right" : "bottom"}
      size={isDesk ? "34rem" : "88%"}
      title={step?.label ?? "Step"}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      {step ? (
        <StepDetails run={run} step={step} path={step.iterations ? path : ""} onSelect={onSelect} />
      ) : null}
    </Drawer>
  );
}

interface StepDetailsProps {
  run: FullRun;
  step: Step;
  path: string | undefined;
  onSelect: (path: string) => void;
}

function StepDetails({ run, step, path, onSelect }: StepDetailsProps) {
  const message = typeof step.error?.message === "string" ? step.error.message : null;
  const code = typeof step.error?.code === "string" ? step.error.code : null;
  return (
    <Stack gap="md">
      <dl className={classes.facts}>
        <Fact name="State">
          <StatusBadge status={step.status} />
        </Fact>
        <Fact name="Type">{step.type.replaceAll("_", " ")}</Fact>
        {step.iterations ? (
          <Fact name="Iterations">{`${step.iterations.done} of ${step.iterations.total}`}</Fact>
        ) : null}
        <Fact name="Attempts">{step.attempts}</Fact>
        <Fact name="Began">
          <Time value={step.startedAt} exact />
        </Fact>
        <Fact name="Took">{step.duration === null ? "–" : formatDuration(step.duration)}</Fact>
        <Fact name="Credits">
          <Credits value={step.credits} />
        </Fact>
        {step.port ? <Fact name="Left by port">{step.port}</Fact> : null}
      </dl>
      {step.error ? (
        <Alert
          color="red"
          icon={<IconCircleX aria-hidden />}
          title={message ? "It failed" : (code ?? "It failed")}
        >
          <Text size="sm">{message ?? "No reason is known."}</Text>
          <details className={classes.details}>
            <summary>All about the error</summary>
            <JsonView value={step.error} label={`Error of ${step.label}`} />
          </details>
        </Alert>
      ) : null}
      {step.childExecutionId ? (
        <TextLink to="/runs/$runId" params={{ runId: step.childExecutionId }}>
          Open the run that this step started
        </TextLink>
      ) : null}
      {step.iterations ? <Iterations runId={run.id} step={step} path={path} onSelect={onSelect} /> : null}
      {path === undefined ? null : <StepData runId={run.id} step={step} path={path} />}
    </Stack>
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
