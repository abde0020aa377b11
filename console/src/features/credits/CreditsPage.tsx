/** The balance and its history. */
import { Stack } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { balanceQuery } from "@/api/queries";
import { type Column, DataList } from "@/ui/DataList";
import { PageHeader } from "@/ui/PageHeader";
import { Figure, Figures } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { Credits, Time } from "@/ui/values";

const historyQuery = queryOptions({
  queryKey: keys.credits.history(),
  queryFn: ({ signal }) => body(api.GET("/credits/history", { signal })),
});

const COLUMNS: Column<Schemas["Transaction"]>[] = [
  { key: "reason", header: "Reason", heading: true, cell: (change) => change.reason },
  { key: "time", header: "When", cell: (change) => <Time value={change.createdAt} /> },
  {
    key: "amount",
    header: "Amount",
    numeric: true,
    cell: (change) => (
      <>
        {change.type === "credit" ? "+" : "−"}
        <Credits value={change.amount} />
      </>
    ),
  },
  {
    key: "balance",
    header: "Balance",
    numeric: true,
    cell: (change) => <Credits value={change.balanceAfter} />,
  },
];

export function CreditsPage() {
  const balance = useQuery(balanceQuery);
  const history = useQuery(historyQuery);
  return (
    <>
      <PageHeader title="Credits" description="What runs are paid with." />
      <Stack gap="xl">
        <Loaded query={balance} rows={2}>
          {(wallet) => (
            <Figures>
              <Figure label="Available">
                <Credits value={wallet.available} />
              </Figure>
              <Figure label="Held by runs">
                <Credits value={wallet.held} />
              </Figure>
              <Figure label="Balance">
                <Credits value={wallet.balance} />
              </Figure>
            </Figures>
          )}
        </Loaded>
        <Loaded
          query={history}
          isEmpty={(data) => data.transactions.length === 0}
          empty={<Empty title="Nothing has happened yet" />}
        >
          {(data) => (
            <DataList
              label="History"
              rows={data.transactions}
              columns={COLUMNS}
              rowKey={(change) => change.id}
            />
          )}
        </Loaded>
      </Stack>
    </>
  );
}
