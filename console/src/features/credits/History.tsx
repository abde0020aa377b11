/** Every change of the balance, newest first. */
import { Button, Center } from "@mantine/core";
import { infiniteQueryOptions, useInfiniteQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { TextLink } from "@/ui/ButtonLink";
import { type Column, DataList } from "@/ui/DataList";
import { Section } from "@/ui/Section";
import { Empty, ErrorState, Loading } from "@/ui/states";
import { Credits, Time } from "@/ui/values";

const PAGE = 20;

const historyQuery = infiniteQueryOptions({
  queryKey: keys.credits.history(),
  queryFn: ({ pageParam, signal }) =>
    body(
      api.GET("/credits/history", {
        params: { query: { limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) } },
        signal,
      }),
    ),
  initialPageParam: null as string | null,
  getNextPageParam: (page) => page.nextCursor,
});

const COLUMNS: Column<Schemas["Transaction"]>[] = [
  { key: "reason", header: "Reason", heading: true, cell: (change) => <Reason change={change} /> },
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

export function History() {
  const query = useInfiniteQuery(historyQuery);
  return (
    <Section title="History">
      {query.isPending ? <Loading /> : null}
      {query.isError ? <ErrorState error={query.error} onRetry={() => void query.refetch()} /> : null}
      {query.data ? <Changes changes={query.data.pages.flatMap((page) => page.transactions)} /> : null}
      {query.hasNextPage ? (
        <Center mt="md">
          <Button
            variant="default"
            loading={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            Show more
          </Button>
        </Center>
      ) : null}
    </Section>
  );
}

function Changes({ changes }: { changes: Schemas["Transaction"][] }) {
  if (changes.length === 0) return <Empty title="Nothing has happened yet" />;
  return <DataList label="History" rows={changes} columns={COLUMNS} rowKey={(change) => change.id} />;
}

/** The reason leads to the run that it is about. */
function Reason({ change }: { change: Schemas["Transaction"] }) {
  if (!change.executionId) return <>{change.reason}</>;
  return (
    <TextLink to="/runs/$runId" params={{ runId: change.executionId }}>
      {change.reason}
    </TextLink>
  );
}
