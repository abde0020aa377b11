/** Comparisons of our rows with Stripe, and what each found. */
import { Button, Modal } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { type Column, DataList } from "@/ui/DataList";
import { formatCount } from "@/ui/format";
import { Section } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/values";

import { PagedList } from "@/ui/PagedList";
import { usePages } from "@/ui/usePages";

type Reconciliation = Schemas["Reconciliation"];

const FINDINGS: Column<Schemas["Finding"]>[] = [
  { key: "detail", header: "Difference", heading: true, cell: (finding) => finding.detail },
  { key: "action", header: "Action", cell: (finding) => <StatusBadge status={finding.action} /> },
  { key: "subject", header: "Object", cell: (finding) => finding.subject },
];

const findingsQuery = (runId: string) =>
  queryOptions({
    queryKey: keys.admin.one("findings", { runId }),
    queryFn: ({ signal }) =>
      body(api.GET("/admin/reconciliations/{runId}", { params: { path: { runId } }, signal })),
  });

export function Reconciliations() {
  const [shown, setShown] = useState<Reconciliation | null>(null);
  const pages = usePages(
    keys.admin.one("reconciliations"),
    (page, signal) => body(api.GET("/admin/reconciliations", { params: { query: page }, signal })),
    (page) => page.reconciliations,
  );
  const columns: Column<Reconciliation>[] = [
    {
      key: "kind",
      header: "Compared",
      heading: true,
      cell: (run) => `${run.kind}${run.dryRun ? " (dry run)" : ""}`,
    },
    { key: "status", header: "State", cell: (run) => <StatusBadge status={run.status} /> },
    { key: "checked", header: "Objects", numeric: true, cell: (run) => formatCount(run.checked) },
    { key: "repaired", header: "Repaired", numeric: true, cell: (run) => formatCount(run.repaired) },
    { key: "reported", header: "Reported", numeric: true, cell: (run) => formatCount(run.reported) },
    { key: "time", header: "When", cell: (run) => <Time value={run.createdAt} /> },
    {
      key: "actions",
      header: "Findings",
      cell: (run) =>
        run.repaired + run.reported + run.failed === 0 ? (
          "None"
        ) : (
          <Button size="xs" variant="default" onClick={() => setShown(run)}>
            Show
          </Button>
        ),
    },
  ];
  return (
    <Section title="Reconciliations">
      <PagedList
        label="Reconciliations"
        pages={pages}
        columns={columns}
        rowKey={(run) => run.id}
        empty="None yet"
      />
      {shown ? <FindingsDialog runId={shown.id} onClose={() => setShown(null)} /> : null}
    </Section>
  );
}

function FindingsDialog({ runId, onClose }: { runId: string; onClose: () => void }) {
  const query = useQuery(findingsQuery(runId));
  return (
    <Modal opened onClose={onClose} title="Findings" size="xl">
      <Loaded query={query} isEmpty={(data) => data.findings.length === 0} empty={<Empty title="None" />}>
        {(data) => (
          <DataList
            label="Findings"
            rows={data.findings}
            columns={FINDINGS}
            rowKey={(finding) => finding.id}
          />
        )}
      </Loaded>
    </Modal>
  );
}
