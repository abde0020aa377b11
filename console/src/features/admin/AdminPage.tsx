/** The business and the queues, for administrators. */
import { Stack } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { type Column, DataList } from "@/ui/DataList";
import { formatCount, formatPercent } from "@/ui/format";
import { PageHeader } from "@/ui/PageHeader";
import { Figure, Figures, Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Money, Time } from "@/ui/values";

const statsQuery = queryOptions({
  queryKey: keys.admin.one("stats"),
  queryFn: ({ signal }) => body(api.GET("/admin/stats", { signal })),
});

const queuesQuery = queryOptions({
  queryKey: keys.admin.one("queues"),
  queryFn: ({ signal }) => body(api.GET("/admin/queues", { signal })),
});

const COLUMNS: Column<Schemas["Queue"]>[] = [
  { key: "name", header: "Queue", heading: true, cell: (queue) => queue.name },
  { key: "status", header: "State", cell: (queue) => <StatusBadge status={queue.status} /> },
  { key: "depth", header: "Waiting", numeric: true, cell: (queue) => formatCount(queue.depth) },
  { key: "oldest", header: "Oldest", cell: (queue) => <Time value={queue.oldestAt} /> },
  { key: "workers", header: "Workers", numeric: true, cell: (queue) => formatCount(queue.workers) },
];

export function AdminPage() {
  const stats = useQuery(statsQuery);
  const queues = useQuery(queuesQuery);
  return (
    <>
      <PageHeader title="Admin" />
      <Stack gap="xl">
        <Loaded query={stats} rows={2}>
          {(business) => (
            <Figures>
              <Figure label="Users">{formatCount(business.users)}</Figure>
              <Figure label="Monthly recurring revenue">
                <Money cents={business.mrrCents} />
              </Figure>
              <Figure label="Churn">
                {business.churnRate === null ? "–" : formatPercent(business.churnRate)}
              </Figure>
              <Figure label="Conversion">
                {business.conversionRate === null ? "–" : formatPercent(business.conversionRate)}
              </Figure>
            </Figures>
          )}
        </Loaded>
        <Section title="Queues">
          <Loaded query={queues}>
            {(data) => (
              <DataList label="Queues" rows={data.queues} columns={COLUMNS} rowKey={(queue) => queue.name} />
            )}
          </Loaded>
        </Section>
      </Stack>
    </>
  );
}
