/** Reports of published templates: keep the template, or remove it from the gallery. */
import { Button, Group, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { messageOf } from "@/api/problem";
import { ChangeDialog } from "@/ui/ChangeDialog";
import type { Column } from "@/ui/DataList";
import { Section } from "@/ui/Section";
import { Time } from "@/ui/values";

import { PagedList } from "@/ui/PagedList";
import { usePages } from "@/ui/usePages";

type Report = Schemas["TemplateReport"];

const KEY = keys.admin.one("reports");

export function Reports() {
  const [removing, setRemoving] = useState<Report | null>(null);
  const pages = usePages(
    KEY,
    (page, signal) =>
      body(api.GET("/admin/template-reports", { params: { query: { ...page, status: "open" } }, signal })),
    (page) => page.reports,
  );
  const columns: Column<Report>[] = [
    { key: "template", header: "Template", heading: true, cell: (report) => report.templateName },
    { key: "reason", header: "Reason", cell: (report) => report.reason },
    { key: "time", header: "When", cell: (report) => <Time value={report.createdAt} /> },
    {
      key: "actions",
      header: "Actions",
      buttons: true,
      cell: (report) => <Actions report={report} onRemove={() => setRemoving(report)} />,
    },
  ];
  return (
    <Section title="Reports of templates">
      <PagedList
        label="Reports"
        pages={pages}
        columns={columns}
        rowKey={(report) => report.id}
        empty="No open reports"
      />
      {removing ? <RemoveDialog report={removing} onClose={() => setRemoving(null)} /> : null}
    </Section>
  );
}

function Actions({ report, onRemove }: { report: Report; onRemove: () => void }) {
  const queryClient = useQueryClient();
  const dismiss = useMutation({
    mutationFn: () =>
      api.POST("/admin/template-reports/{reportId}/dismiss", {
        params: { path: { reportId: report.id } },
        body: {},
      }),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: KEY }),
    onError: (error) => notifications.show({ color: "red", message: messageOf(error) }),
  });
  return (
    <Group gap="xs">
      <Button
        size="xs"
        variant="default"
        loading={dismiss.isPending}
        onClick={() => dismiss.mutate()}
        aria-label={`Keep ${report.templateName}`}
      >
        Keep it
      </Button>
      <Button
        size="xs"
        variant="subtle"
        color="red"
        onClick={onRemove}
        aria-label={`Remove ${report.templateName}`}
      >
        Remove it
      </Button>
    </Group>
  );
}

function RemoveDialog({ report, onClose }: { report: Report; onClose: () => void }) {
  const queryClient = useQueryClient();
  return (
    <ChangeDialog
      title={`Remove ${report.templateName} from the gallery?`}
      action="Remove"
      danger
      initial={{ reason: "" }}
      onSubmit={async (values) => {
        await api.POST("/admin/templates/{templateId}/unpublish", {
          params: { path: { templateId: report.templateId } },
          body: values,
        });
        await queryClient.invalidateQueries({ queryKey: KEY });
      }}
      onClose={onClose}
    >
      {(form) => (
        <>
          <Text size="sm">Its author keeps it, and cannot publish it again. Workflows made of it stay.</Text>
          <TextInput label="Reason" required maxLength={500} {...form.getInputProps("reason")} />
        </>
      )}
    </ChangeDialog>
  );
}
