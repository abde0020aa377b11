/** The invoices, each as a PDF of Stripe. */
import { Anchor } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, API_BASE, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { type Column, DataList } from "@/ui/DataList";
import { formatDecimal } from "@/ui/format";
import { Section } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/values";

type Invoice = Schemas["Invoice"];

const invoicesQuery = queryOptions({
  queryKey: keys.billing.invoices,
  queryFn: ({ signal }) => body(api.GET("/invoices", { params: { query: { limit: 100 } }, signal })),
});

const COLUMNS: Column<Invoice>[] = [
  {
    key: "description",
    header: "Invoice",
    heading: true,
    cell: (invoice) => invoice.description,
  },
  { key: "date", header: "When", cell: (invoice) => <Time value={invoice.date} exact="date" /> },
  { key: "status", header: "State", cell: (invoice) => <StatusBadge status={invoice.status} /> },
  {
    key: "amount",
    header: "Amount",
    numeric: true,
    cell: (invoice) => `${formatDecimal(invoice.amount)} ${invoice.currency.toUpperCase()}`,
  },
  {
    key: "pdf",
    header: "File",
    cell: (invoice) => (
      <Anchor href={`${API_BASE}/invoices/${invoice.id}/pdf`} target="_blank" rel="noopener noreferrer">
        PDF
      </Anchor>
    ),
  },
];

export function Invoices() {
  const query = useQuery(invoicesQuery);
  return (
    <Section title="Invoices">
      <Loaded
        query={query}
        isEmpty={(invoices) => invoices.length === 0}
        empty={<Empty title="No invoices yet" />}
      >
        {(invoices) => (
          <DataList label="Invoices" rows={invoices} columns={COLUMNS} rowKey={(invoice) => invoice.id} />
        )}
      </Loaded>
    </Section>
  );
}
