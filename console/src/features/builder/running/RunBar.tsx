/** The run that the canvas shows: its state, what it cost, and the way to all about it. */
import { ActionIcon, Text } from "@mantine/core";
import { IconX } from "@tabler/icons-react";

import { doneWord, type FullRun } from "@/api/runs";
import { ButtonLink } from "@/ui/ButtonLink";
import { formatDuration } from "@/ui/format";
import { StatusBadge } from "@/ui/StatusBadge";
import { Credits } from "@/ui/values";

import classes from "../Builder.module.css";
import { CancelRun } from "./CancelRun";

export function RunBar({ run, onClose }: { run: FullRun; onClose: () => void }) {
  return (
    <div className={classes.runBar} role="region" aria-label="Run">
      <StatusBadge status={run.status} />
      <Text size="sm" className="tabular" visibleFrom="xs">
        {doneWord(run)} steps
        {run.duration === null ? "" : ` · ${formatDuration(run.duration)}`} ·{" "}
        <Credits value={run.creditsCharged} unit />
      </Text>
      {run.error ? (
        <Text size="sm" c="red" truncate className={classes.runError} title={run.error}>
          {run.error}
        </Text>
      ) : null}
      <span className={classes.gap} />
      <CancelRun run={run} />
      <ButtonLink size="xs" variant="light" flex="none" to="/runs/$runId" params={{ runId: run.id }}>
        Details
      </ButtonLink>
      <ActionIcon aria-label="Hide the run" onClick={onClose}>
        <IconX size={16} aria-hidden />
      </ActionIcon>
    </div>
  );
}
