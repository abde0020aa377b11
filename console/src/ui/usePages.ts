/** Lists of the API that are read page by page: by cursor where there is one, else by offset. */
import { useInfiniteQuery } from "@tanstack/react-query";

interface Page {
  count: number;
  limit: number;
  offset: number;
  nextCursor?: string | null;
}

/** The query parameters of a page. */
export interface PageQuery {
  limit: number;
  cursor?: string;
  offset?: number;
}

const PAGE = 25;

/** What to ask for to get the page after this one; null after the last. */
export function pageAfter({ count, limit, offset, nextCursor }: Page): Omit<PageQuery, "limit"> | null {
  if (nextCursor) return { cursor: nextCursor };
  if (nextCursor === null || count < limit) return null;
  return { offset: offset + count };
}

export function usePages<Data extends Page, Row>(
  queryKey: readonly unknown[],
  read: (query: PageQuery, signal: AbortSignal) => Promise<Data>,
  rowsOf: (page: Data) => readonly Row[],
  limit = PAGE,
) {
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) => read({ limit, ...pageParam }, signal),
    initialPageParam: {},
    getNextPageParam: pageAfter,
  });
  return { query, rows: query.data?.pages.flatMap((page) => [...rowsOf(page)]) };
}
