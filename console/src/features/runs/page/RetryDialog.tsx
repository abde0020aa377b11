/** Asks how a run is to be retried, and says what that saves. */
import { Alert, Button, Group, List, Modal, Radio, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { useIdempotencyKey } from "@/api/idempotency";
import { keys } from "@/api/keys";
import { ApiError } from "@/api/problem";
import type { FullRun } from "@/api/runs";
import { formatCredits } from "@/ui/format";
import { ErrorState } from "@/ui/states";
import { Credits } from "@/ui/values";

import { retry, useRunAction } from "./actions";
import { failedStep, reusable } from "./retry";

interface RetryDialogProps {
  run: FullRun;
  opened: boolean;
  onClose: () => void;
}

/** The sentences of a refusal that asks for a confirmation, null for any other error. */
function toConfirm(error: unknown): string[] | null {
  if (!(error instanceof ApiError) || error.code !== "confirmation_required") return null;
  const errors = (error.problem.errors ?? []) as { message: string }[];
  return errors.map(({ message }) => message);
}

export function RetryDialog({ run, opened, onClose }: RetryDialogProps) {
  const succeeded = run.status === "success";
  const [version, setVersion] = useState(succeeded ? "latest" : "same");
  const keyOf = useIdempotencyKey();
  const client = useQueryClient();
  const navigate = useNavigate();
  const again = useRunAction(run.id, (confirmed: boolean) => {
    const options = {
      maxCredits: null,
      version: version === "latest" ? "latest" : null,
      ...(confirmed ? { repeat: run.nodes.map(({ nodeId }) => nodeId) } : {}),
    };
    return retry(run.id, options, keyOf(options));
  });

  function start(confirmed: boolean) {
    again.mutate(confirmed, {
      onSuccess: ({ executionId, saved }) => {
        onClose();
        void client.invalidateQueries({ queryKey: keys.runs.all });
        notifications.show({
          message: `${saved.nodes} finished ${saved.nodes === 1 ? "step is" : "steps are"} reused, which saves ${formatCredits(saved.credits)} credits.`,
        });
        void navigate({ to: "/runs/$runId", params: { runId: executionId } });
      },
    });
  }

  const unconfirmed = toConfirm(again.error);
  return (
    <Modal opened={opened} onClose={onClose} title={succeeded ? "Run again" : "Retry this run"}>
      <Stack>
        <Savings run={run} isSame={version === "same"} />
        {run.triedNodeId === null ? (
          <Radio.Group label="Version of the workflow" value={version} onChange={setVersion}>
            <Stack gap="xs" mt="xs">
              <Radio
                value="same"
                label={`The one that ran${run.workflowVersion === null ? "" : `, ${run.workflowVersion}`}`}
                disabled={succeeded}
                description={succeeded ? "Nothing would be left to do." : undefined}
              />
              <Radio
                value="latest"
                label="The newest one"
                description="Steps that were changed since, and all that follow them, run again."
              />
            </Stack>
          </Radio.Group>
        ) : null}
        {unconfirmed ? (
          <Alert
            color="yellow"
            icon={<IconAlertTriangle aria-hidden />}
            title="These may act a second time"
            role="alert"
          >
            <List size="sm">
              {unconfirmed.map((sentence) => (
                <List.Item key={sentence}>{sentence}</List.Item>
              ))}
            </List>
          </Alert>
        ) : again.isError ? (
          <ErrorState error={again.error} />
        ) : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Not now
          </Button>
          <Button loading={again.isPending} onClick={() => start(unconfirmed !== null)}>
            {unconfirmed ? "Let them act again" : succeeded ? "Run again" : "Retry"}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function Savings({ run, isSame }: { run: FullRun; isSame: boolean }) {
  const { steps, credits } = reusable(run);
  const from = failedStep(run);
  if (steps === 0) return <Text>No step has finished, so all of them run again.</Text>;
  return (
    <Text>
      {isSame && from ? <>A new run goes on from “{from}”. </> : null}
      {isSame ? "It reuses" : "It reuses at most"} {steps} finished {steps === 1 ? "step" : "steps"}, which
      cost <Credits value={credits} unit />: they are not charged again.
    </Text>
  );
}
