/** The caller's tier and its invoices. */
import { Stack } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { subscriptionQuery } from "@/api/queries";
import { type Column, DataList } from "@/ui/DataList";
import { PageHeader } from "@/ui/PageHeader";
import { Figure, Figures } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/values";

const invoicesQuery = queryOptions({
  queryKey: keys.billing.invoices,
  queryFn: ({ signal }) => body(api.GET("/invoices", { signal })),
});

const COLUMNS: Column<Schemas["Invoice"]>[] = [
  {
    key: "status",
    header: "State",
    heading: true,
    cell: (invoice) => <StatusBadge status={invoice.status} />,
  },
  { key: "time", header: "When", cell: (invoice) => <Time value={invoice.date} exact="date" /> },
];

export function SubscriptionPage() {
  const subscription = useQuery(subscriptionQuery);
  const invoices = useQuery(invoicesQuery);
  return (
    <>
      <PageHeader title="Subscription" />
      <Stack gap="xl">
        <Loaded query={subscription} rows={2}>
          {({ tier, status, currentPeriodEnd }) => (
            <Figures>
              <Figure label="Plan">{tier}</Figure>
              <Figure label="State">
                <StatusBadge status={status} />
              </Figure>
              <Figure label="Paid until">
                <Time value={currentPeriodEnd} exact="date" />
              </Figure>
            </Figures>
          )}
        </Loaded>
        <Loaded
          query={invoices}
          isEmpty={(data) => data.length === 0}
          empty={<Empty title="No invoices yet" />}
        >
          {(data) => (
            <DataList label="Invoices" rows={data} columns={COLUMNS} rowKey={(invoice) => invoice.id} />
          )}
        </Loaded>
      </Stack>
    </>
  );
}
