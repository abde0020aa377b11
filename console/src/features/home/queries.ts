/** What the home screen reads. */
import { queryOptions } from "@tanstack/react-query";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import type { Run, RunStatus } from "@/api/runs";

const COUNTED = 100; // more are "100+"
const OPEN: readonly RunStatus[] = ["running", "queued", "waiting", "cancelling"];

export const monthQuery = queryOptions({
  queryKey: keys.usage("month"),
  queryFn: ({ signal }) => body(api.GET("/usage/stats", { params: { query: { period: "month" } }, signal })),
});

/** The runs that have not ended, by state: those that work first. */
export const openRunsQuery = queryOptions({
  queryKey: keys.runs.list({ open: true }),
  queryFn: async ({ signal }): Promise<{ runs: Run[]; isMore: boolean }> => {
    const pages = await Promise.all(
      OPEN.map((status) =>
        body(api.GET("/executions", { params: { query: { status, limit: COUNTED } }, signal })),
      ),
    );
    return {
      runs: pages.flatMap(({ executions }) => executions),
      isMore: pages.some(({ nextCursor }) => nextCursor !== null),
    };
  },
});

export const recentPurchasesQuery = queryOptions({
  queryKey: [...keys.credits.purchases, "recent"],
  queryFn: ({ signal }) => body(api.GET("/credits/purchases", { params: { query: { limit: 10 } }, signal })),
});
