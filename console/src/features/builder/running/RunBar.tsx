/** The run that the canvas shows: its state, what it cost, and the way to all about it. */
import { ActionIcon, Button, Text } from "@mantine/core";
import { IconPlayerStop, IconX } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";

import { api, body } from "@/api/client";
import { type FullRun, isEnded } from "@/api/runs";
import { ButtonLink } from "@/ui/ButtonLink";
import { formatDuration } from "@/ui/format";
import { StatusBadge } from "@/ui/StatusBadge";
import { Credits } from "@/ui/values";

import classes from "../Builder.module.css";

export function RunBar({ run, onClose }: { run: FullRun; onClose: () => void }) {
  const cancel = useMutation({
    mutationFn: () =>
      body(
        api.POST("/executions/{executionId}/cancel", {
          params: { path: { executionId: run.id } },
          body: {} as never,
        }),
      ),
  });
  return (
    <div className={classes.runBar} role="region" aria-label="Run">
      <StatusBadge status={run.status} />
      <Text size="sm" className="tabular" visibleFrom="xs">
        {run.nodesExecuted} of {run.nodesTotal} nodes
        {run.duration === null ? "" : ` · ${formatDuration(run.duration)}`} ·{" "}
        <Credits value={run.creditsCharged} unit />
      </Text>
      {run.error ? (
        <Text size="sm" c="red" truncate className={classes.runError} title={run.error}>
          {run.error}
        </Text>
      ) : null}
      <span className={classes.gap} />
      {isEnded(run.status) ? null : (
        <Button
          size="xs"
          variant="default"
          leftSection={<IconPlayerStop size={14} aria-hidden />}
          loading={cancel.isPending}
          onClick={() => cancel.mutate()}
        >
          Cancel
        </Button>
      )}
      <ButtonLink size="xs" variant="light" flex="none" to="/runs/$runId" params={{ runId: run.id }}>
        Details
      </ButtonLink>
      <ActionIcon aria-label="Hide the run" onClick={onClose}>
        <IconX size={16} aria-hidden />
      </ActionIcon>
    </div>
  );
}
