/** The button that reads the next page of a list, as long as there is one. */
import { Button } from "@mantine/core";
import type { UseInfiniteQueryResult } from "@tanstack/react-query";

type Pages = Pick<UseInfiniteQueryResult, "hasNextPage" | "isFetchingNextPage" | "fetchNextPage">;

export function ShowMore({ pages, ...props }: { pages: Pages; variant?: string; fullWidth?: boolean }) {
  if (!pages.hasNextPage) return null;
  return (
    <Button
      variant="default"
      {...props}
      loading={pages.isFetchingNextPage}
      onClick={() => void pages.fetchNextPage()}
    >
      Show more
    </Button>
  );
}
