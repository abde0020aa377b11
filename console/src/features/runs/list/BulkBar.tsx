/** What can be done with the chosen runs, at the bottom of the window. */
import { Alert, Button, Checkbox, List, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconPlayerStop, IconRefresh, IconX } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { keys } from "@/api/keys";
import { ConfirmDialog } from "@/ui/ConfirmDialog";

import { type Change, changeByFilter, changeByIds, sender, type Summary } from "./bulk";
import classes from "./BulkBar.module.css";
import { type RunFilter, toApi } from "./filter";

interface BulkBarProps {
  chosen: number;
  cancellable: readonly string[];
  retryable: readonly string[];
  filter: RunFilter;
  /** Whether the filter finds more runs than are shown. */
  hasMore: boolean;
  onDone: () => void;
}

export function BulkBar({ chosen, cancellable, retryable, filter, hasMore, onDone }: BulkBarProps) {
  const client = useQueryClient();
  const [asks, setAsks] = useState<Change | null>(null);
  const [everything, setEverything] = useState(false);
  const [summary, setSummary] = useState<Summary | null>(null);
  const ids = asks === "cancel" ? cancellable : retryable;

  function ask(change: Change) {
    setEverything(false);
    setAsks(change);
  }

  async function run() {
    if (!asks) return;
    const send = sender(asks, () => crypto.randomUUID());
    const done = everything
      ? await changeByFilter(toApi(filter, new Date()), send)
      : await changeByIds(ids, send);
    void client.invalidateQueries({ queryKey: keys.runs.all });
    void client.invalidateQueries({ queryKey: keys.credits.all });
    const verb = asks === "cancel" ? "will be cancelled" : "are retried";
    notifications.show({ message: `${runsWord(done.accepted)} ${verb}.` });
    setSummary(done.refused.length > 0 ? done : null);
    onDone();
  }

  return (
    <>
      {summary ? <Refused summary={summary} onClose={() => setSummary(null)} /> : null}
      {chosen > 0 ? (
        <div className={classes.bar} role="toolbar" aria-label="Chosen runs">
          <span className={classes.count}>{runsWord(chosen)} chosen</span>
          <Button
            size="sm"
            variant="default"
            disabled={cancellable.length === 0}
            leftSection={<IconPlayerStop size={16} aria-hidden />}
            onClick={() => ask("cancel")}
          >
            Cancel{cancellable.length > 0 ? ` ${cancellable.length}` : ""}
          </Button>
          <Button
            size="sm"
            disabled={retryable.length === 0}
            leftSection={<IconRefresh size={16} aria-hidden />}
            onClick={() => ask("retry")}
          >
            Retry{retryable.length > 0 ? ` ${retryable.length}` : ""}
          </Button>
          <Button size="sm" variant="subtle" color="gray" aria-label="Choose none" onClick={onDone}>
            <IconX size={18} aria-hidden />
          </Button>
        </div>
      ) : null}
      <ConfirmDialog
        opened={asks !== null}
        title={asks === "cancel" ? "Cancel runs?" : "Retry runs?"}
        action={asks === "cancel" ? "Cancel them" : "Retry them"}
        danger={asks === "cancel"}
        onConfirm={run}
        onClose={() => setAsks(null)}
      >
        <Stack gap="sm">
          <Text>
            {everything ? "All runs that the filter finds" : runsWord(ids.length)}{" "}
            {asks === "cancel"
              ? "will be cancelled. Steps that have finished stay charged."
              : "that failed or were cancelled are retried: finished steps are reused, the rest runs again and is charged."}
          </Text>
          {hasMore ? (
            <Checkbox
              label="All that the filter finds, also those not shown yet"
              checked={everything}
              onChange={(event) => setEverything(event.currentTarget.checked)}
            />
          ) : null}
        </Stack>
      </ConfirmDialog>
    </>
  );
}

function Refused({ summary, onClose }: { summary: Summary; onClose: () => void }) {
  return (
    <Alert
      mt="md"
      color="yellow"
      title="Some were refused"
      withCloseButton
      closeButtonLabel="Close"
      onClose={onClose}
    >
      <List size="sm">
        {summary.refused.map(({ message, count }) => (
          <List.Item key={message}>
            {message} ({runsWord(count)})
          </List.Item>
        ))}
      </List>
    </Alert>
  );
}

function runsWord(count: number): string {
  return `${count.toLocaleString("en")} ${count === 1 ? "run" : "runs"}`;
}
