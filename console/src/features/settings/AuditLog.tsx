/** What happened in the account, newest first. */
import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import type { Column } from "@/ui/DataList";
import { PagedList } from "@/ui/PagedList";
import { Section } from "@/ui/Section";
import { usePages } from "@/ui/usePages";
import { Time } from "@/ui/values";

import { actionWords } from "./audit";

const PAGE = 10;

const COLUMNS: Column<Schemas["Audit"]>[] = [
  { key: "action", header: "What", heading: true, cell: (entry) => actionWords(entry.action) },
  { key: "by", header: "By", cell: (entry) => (entry.byYou ? "You" : "The service") },
  { key: "address", header: "From", cell: (entry) => entry.address ?? "–" },
  { key: "time", header: "When", cell: (entry) => <Time value={entry.createdAt} /> },
];

export function AuditLog() {
  const pages = usePages(
    keys.audit,
    (page, signal) => body(api.GET("/auth/audit", { params: { query: page }, signal })),
    (page) => page.entries,
    PAGE,
  );
  return (
    <Section title="Activity">
      <PagedList
        label="Activity"
        pages={pages}
        columns={COLUMNS}
        rowKey={(entry) => entry.id}
        empty="Nothing yet"
      />
    </Section>
  );
}
