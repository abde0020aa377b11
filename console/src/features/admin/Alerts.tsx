/** Problems about money that no rule decides, until somebody closes them. */
import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { messageOf } from "@/api/problem";
import type { Column } from "@/ui/DataList";
import { Section } from "@/ui/Section";
import { Time } from "@/ui/values";

import { PagedList } from "@/ui/PagedList";
import { usePages } from "@/ui/usePages";

type BillingAlert = Schemas["Alert"];

const COLUMNS: Column<BillingAlert>[] = [
  { key: "kind", header: "Problem", heading: true, cell: (alert) => alert.kind.replaceAll("_", " ") },
  { key: "detail", header: "What happened", cell: (alert) => alert.detail },
  { key: "subject", header: "Object", cell: (alert) => alert.subject },
  { key: "time", header: "Since", cell: (alert) => <Time value={alert.createdAt} /> },
  { key: "actions", header: "Actions", buttons: true, cell: (alert) => <CloseButton alert={alert} /> },
];

export function Alerts() {
  const pages = usePages(
    keys.admin.one("alerts"),
    (page, signal) => body(api.GET("/admin/alerts", { params: { query: page }, signal })),
    (page) => page.alerts,
  );
  return (
    <Section title="Alerts">
      <PagedList
        label="Alerts"
        pages={pages}
        columns={COLUMNS}
        rowKey={(alert) => alert.id}
        empty="No open alerts"
      />
    </Section>
  );
}

function CloseButton({ alert }: { alert: BillingAlert }) {
  const queryClient = useQueryClient();
  const close = useMutation({
    mutationFn: () =>
      api.POST("/admin/alerts/{alertId}/resolve", { params: { path: { alertId: alert.id } }, body: {} }),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.admin.one("alerts") }),
    onError: (error) => notifications.show({ color: "red", message: messageOf(error) }),
  });
  return (
    <Button
      size="xs"
      variant="default"
      loading={close.isPending}
      onClick={() => close.mutate()}
      aria-label={`Close the alert about ${alert.subject}`}
    >
      Close
    </Button>
  );
}
