/** The buttons of a run: share, cancel, retry. */
import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconPlayerStop, IconRefresh, IconShare2 } from "@tabler/icons-react";
import { useState } from "react";

import { type FullRun, isEnded } from "@/api/runs";
import { ConfirmDialog } from "@/ui/ConfirmDialog";

import { cancel, useRunAction } from "./actions";
import { RetryDialog } from "./RetryDialog";

export function RunActions({ run }: { run: FullRun }) {
  const [asks, setAsks] = useState<"cancel" | "retry" | null>(null);
  const stop = useRunAction(run.id, () => cancel(run.id));
  const close = () => setAsks(null);
  const canCancel = !isEnded(run.status) && run.status !== "cancelling";
  return (
    <>
      <Button
        variant="default"
        leftSection={<IconShare2 size={18} aria-hidden />}
        onClick={() => void share(run)}
      >
        Share
      </Button>
      {canCancel ? (
        <Button
          variant="default"
          leftSection={<IconPlayerStop size={18} aria-hidden />}
          onClick={() => setAsks("cancel")}
        >
          Cancel run
        </Button>
      ) : null}
      {isEnded(run.status) && !(run.triedNodeId !== null && run.status === "success") ? (
        <Button
          variant={run.status === "success" ? "default" : "filled"}
          leftSection={<IconRefresh size={18} aria-hidden />}
          onClick={() => setAsks("retry")}
        >
          {run.status === "success" ? "Run again" : "Retry"}
        </Button>
      ) : null}
      <ConfirmDialog
        opened={asks === "cancel"}
        title="Cancel this run?"
        action="Cancel run"
        danger
        onConfirm={() => stop.mutateAsync(undefined)}
        onClose={close}
      >
        Steps that have finished stay charged. The run can be retried from there.
      </ConfirmDialog>
      <RetryDialog key={run.id} run={run} opened={asks === "retry"} onClose={close} />
    </>
  );
}

/** Give the run's address to somebody; it opens for those only who are signed in as its owner. */
async function share(run: FullRun): Promise<void> {
  const link = { title: `Run of ${run.workflowName}`, url: window.location.href.replace(/[?#].*$/, "") };
  try {
    if ("share" in navigator && matchMedia("(pointer: coarse)").matches) {
      await navigator.share(link);
      return;
    }
    await navigator.clipboard.writeText(link.url);
    notifications.show({ message: "The link is copied. Only you can open it, signed in." });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return; // the person changed their mind
    notifications.show({ color: "red", message: `The link could not be copied: ${link.url}` });
  }
}
