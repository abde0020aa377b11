/** What happened in the account, newest first. */
import { Button, Center } from "@mantine/core";
import { infiniteQueryOptions, useInfiniteQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { type Column, DataList } from "@/ui/DataList";
import { Section } from "@/ui/Section";
import { Empty, ErrorState, Loading } from "@/ui/states";
import { Time } from "@/ui/values";

import { actionWords } from "./audit";

const PAGE = 10;

const auditQuery = infiniteQueryOptions({
  queryKey: keys.audit,
  queryFn: ({ pageParam, signal }) =>
    body(
      api.GET("/auth/audit", {
        params: { query: { limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) } },
        signal,
      }),
    ),
  initialPageParam: null as string | null,
  getNextPageParam: (page) => page.nextCursor,
});

const COLUMNS: Column<Schemas["Audit"]>[] = [
  { key: "action", header: "What", heading: true, cell: (entry) => actionWords(entry.action) },
  { key: "by", header: "By", cell: (entry) => (entry.byYou ? "You" : "The service") },
  { key: "address", header: "From", cell: (entry) => entry.address ?? "–" },
  { key: "time", header: "When", cell: (entry) => <Time value={entry.createdAt} /> },
];

export function AuditLog() {
  const query = useInfiniteQuery(auditQuery);
  return (
    <Section title="Activity">
      {query.isPending ? <Loading /> : null}
      {query.isError ? <ErrorState error={query.error} onRetry={() => void query.refetch()} /> : null}
      {query.data ? <Entries entries={query.data.pages.flatMap((page) => page.entries)} /> : null}
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

function Entries({ entries }: { entries: Schemas["Audit"][] }) {
  if (entries.length === 0) return <Empty title="Nothing yet" />;
  return <DataList label="Activity" rows={entries} columns={COLUMNS} rowKey={(entry) => entry.id} />;
}
