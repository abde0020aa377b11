/** The list of runs, which several screens show. */
import { queryOptions } from "@tanstack/react-query";

import { api, body } from "./client";
import { keys } from "./keys";

export function runsQuery(query: { limit?: number } = {}) {
  return queryOptions({
    queryKey: keys.runs.list(query),
    queryFn: ({ signal }) => body(api.GET("/executions", { params: { query }, signal })),
  });
}
