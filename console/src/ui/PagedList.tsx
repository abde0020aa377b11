/** A list that is read page by page, with its states and a button for more. */
import { Center } from "@mantine/core";
import type { UseInfiniteQueryResult } from "@tanstack/react-query";

import { type Column, DataList } from "@/ui/DataList";
import { ShowMore } from "@/ui/ShowMore";
import { Empty, ErrorState, Loading } from "@/ui/states";

interface PagedListProps<Row> {
  label: string;
  pages: { query: UseInfiniteQueryResult; rows: Row[] | undefined };
  columns: readonly Column<Row>[];
  rowKey: (row: Row) => string;
  empty: string;
}

export function PagedList<Row>({
  label,
  pages: { query, rows },
  columns,
  rowKey,
  empty,
}: PagedListProps<Row>) {
  return (
    <>
      {query.isPending ? <Loading /> : null}
      {query.isError ? <ErrorState error={query.error} onRetry={() => void query.refetch()} /> : null}
      {rows?.length === 0 ? <Empty title={empty} /> : null}
      {rows?.length ? <DataList label={label} rows={rows} columns={columns} rowKey={rowKey} /> : null}
      {query.hasNextPage ? (
        <Center mt="md">
          <ShowMore pages={query} />
        </Center>
      ) : null}
    </>
  );
}
