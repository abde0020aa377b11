/** Tells administrators about a template that should not be in the gallery. */
import { Button, Group, Modal, Radio, Stack, Textarea } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { ErrorState } from "@/ui/states";

import { reportTemplate, type Template } from "./queries";
import { REPORT_REASONS } from "./words";

const MAX_REASON = 500;

export function ReportDialog({ template, onClose }: { template: Template; onClose: () => void }) {
  const [reason, setReason] = useState<string>(REPORT_REASONS[0]);
  const [words, setWords] = useState("");
  const report = useMutation({
    mutationFn: () => reportTemplate(template.id, [reason, words.trim()].filter(Boolean).join(": ")),
    onSuccess: () => {
      onClose();
      notifications.show({ message: "Thank you. An administrator will look at it." });
    },
  });
  return (
    <Modal opened onClose={onClose} title={`Report “${template.name}”`}>
      <Stack>
        <Radio.Group label="Reason" value={reason} onChange={setReason}>
          <Stack gap="xs" mt="xs">
            {REPORT_REASONS.map((choice) => (
              <Radio key={choice} value={choice} label={choice} />
            ))}
          </Stack>
        </Radio.Group>
        <Textarea
          label="In your words"
          autosize
          minRows={2}
          maxRows={6}
          maxLength={MAX_REASON - 40}
          value={words}
          onChange={(event) => setWords(event.currentTarget.value)}
        />
        {report.isError ? <ErrorState error={report.error} /> : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Not now
          </Button>
          <Button loading={report.isPending} onClick={() => report.mutate()}>
            Report
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
