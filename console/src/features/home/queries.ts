/** What the home screen reads. */
import { queryOptions } from "@tanstack/react-query";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import type { Run, RunStatus } from "@/api/runs";
import { viewersZone } from "@/ui/format";

const COUNTED = 100; // more are "100+"
const OPEN: readonly RunStatus[] = ["running", "queued", "waiting", "cancelling"];

/** The calendar month so far, where the viewer is. */
export const monthQuery = queryOptions({
  queryKey: keys.usage.of("this_month"),
  queryFn: ({ signal }) => {
    const query = { period: "this_month", timeZone: viewersZone() } as const;
    return body(api.GET("/usage/stats", { params: { query }, signal }));
  },
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
