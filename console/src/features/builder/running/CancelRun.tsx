/** Cancels the run that the builder shows, as long as it has not ended. */
import { Button } from "@mantine/core";
import { IconPlayerStop } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";

import { api, body } from "@/api/client";
import { type FullRun, isEnded } from "@/api/runs";

export function CancelRun({ run }: { run: FullRun }) {
  const cancel = useMutation({
    mutationFn: () => {
      const params = { path: { executionId: run.id } };
      return body(api.POST("/executions/{executionId}/cancel", { params, body: {} as never }));
    },
  });
  if (isEnded(run.status)) return null;
  return (
    <Button
      size="xs"
      variant="default"
      leftSection={<IconPlayerStop size={14} aria-hidden />}
      loading={cancel.isPending}
      onClick={() => cancel.mutate()}
    >
      Cancel
    </Button>
  );
}
