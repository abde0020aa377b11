/** Why a run waits, in a sentence, with what a person can do about it. */
import { Button, Group, NumberInput, Paper, Stack, Text, Textarea, Title } from "@mantine/core";
import { IconCheck, IconClockPause, IconX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { balanceQuery } from "@/api/queries";
import type { FullRun } from "@/api/runs";
import { TextLink } from "@/ui/ButtonLink";
import { difference, sumOf } from "@/ui/decimal";
import { ErrorState } from "@/ui/states";
import { Credits, Time } from "@/ui/values";

import { approve, resume, useRunAction } from "./actions";
import classes from "./WaitCard.module.css";
import { iterationName, type Waiting, waitingOf } from "./waiting";

const MAX_COMMENT = 2000;

export function WaitCard({ run }: { run: FullRun }) {
  const waiting = waitingOf(run);
  if (!waiting) return null;
  if (waiting.type === "approval" && waiting.nodeId) {
    // The key empties the form when the next question comes.
    return (
      <ApprovalCard
        key={`${waiting.nodeId} ${waiting.path}`}
        run={run}
        waiting={waiting}
        nodeId={waiting.nodeId}
      />
    );
  }
  if (waiting.type === "budget") return <BudgetCard run={run} waiting={waiting} />;
  return (
    <div className={classes.line} role="status">
      <IconClockPause size={18} aria-hidden />
      <div>
        {waiting.message}
        {waiting.children.map((child) => (
          <div key={child.executionId}>
            <TextLink to="/runs/$runId" params={{ runId: child.executionId }}>
              {child.workflowName}
            </TextLink>
            {child.message ? `: ${child.message}` : null}
          </div>
        ))}
      </div>
    </div>
  );
}

function ApprovalCard({ run, waiting, nodeId }: { run: FullRun; waiting: Waiting; nodeId: string }) {
  const [comment, setComment] = useState("");
  const decide = useRunAction(run.id, (approved: boolean) =>
    approve(run.id, nodeId, { approved, comment: comment.trim() || null, path: waiting.path }),
  );
  const label = run.nodes.find((node) => node.nodeId === nodeId)?.label ?? nodeId;
  const iteration = iterationName(waiting.path);
  const pending = decide.isPending ? decide.variables : undefined;
  return (
    <Paper component="section" aria-label="Approval" className={classes.card}>
      <Stack gap="sm">
        <div>
          <Text size="sm" className={classes.eyebrow}>
            Waits for your decision{iteration ? ` · ${iteration}` : ""}
          </Text>
          <Title order={2}>{label}</Title>
        </div>
        <Text className={classes.message}>{waiting.message}</Text>
        {waiting.until ? (
          <Text size="sm" c="dimmed">
            Without a decision it goes on <Time value={waiting.until} />.
          </Text>
        ) : null}
        <Textarea
          label="Comment"
          description="Steps after this one can read it."
          autosize
          minRows={2}
          maxRows={8}
          maxLength={MAX_COMMENT}
          value={comment}
          onChange={(event) => setComment(event.currentTarget.value)}
        />
        {decide.isError ? <ErrorState error={decide.error} /> : null}
        <Group gap="sm" className={classes.buttons}>
          <Button
            leftSection={<IconCheck size={18} aria-hidden />}
            loading={pending === true}
            disabled={pending === false}
            onClick={() => decide.mutate(true)}
          >
            Approve
          </Button>
          <Button
            variant="default"
            leftSection={<IconX size={18} aria-hidden />}
            loading={pending === false}
            disabled={pending === true}
            onClick={() => decide.mutate(false)}
          >
            Reject
          </Button>
        </Group>
      </Stack>
    </Paper>
  );
}

function BudgetCard({ run, waiting }: { run: FullRun; waiting: Waiting }) {
  const balance = useQuery(balanceQuery);
  const [limit, setLimit] = useState<string | number>(sumOf([run.maxCredits, Math.max(1, run.maxCredits)]));
  const raise = useRunAction(run.id, () => resume(run.id, Number(limit)));
  const added = difference(String(limit) || "0", run.maxCredits);
  return (
    <Paper component="section" aria-label="More credits" className={classes.card}>
      <Stack gap="sm">
        <div>
          <Text size="sm" className={classes.eyebrow}>
            Waits for more credits
          </Text>
          <Title order={2}>
            <Credits value={run.creditsCharged} /> of <Credits value={run.maxCredits} /> credits are used
          </Title>
        </div>
        <Text className={classes.message}>{waiting.message}</Text>
        <NumberInput
          label="The most that this run may cost"
          description={
            balance.data ? (
              <>
                You have <Credits value={balance.data.available} /> credits available; this holds{" "}
                <Credits value={added.startsWith("-") ? "0" : added} /> more.
              </>
            ) : null
          }
          size="md"
          min={run.maxCredits}
          decimalScale={2}
          allowNegative={false}
          value={limit}
          onChange={setLimit}
        />
        {raise.isError ? <ErrorState error={raise.error} /> : null}
        <Group gap="sm" className={classes.buttons}>
          <Button loading={raise.isPending} disabled={limit === ""} onClick={() => raise.mutate(undefined)}>
            Resume
          </Button>
        </Group>
      </Stack>
    </Paper>
  );
}
