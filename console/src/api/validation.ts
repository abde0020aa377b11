/** What the API finds wrong with a graph, and the most that a run of it may cost. */
import { queryOptions } from "@tanstack/react-query";

import { api, body, type Schemas } from "./client";
import { keys } from "./keys";

type Document = Pick<Schemas["Workflow"], "nodes" | "connections">;

const KEPT_MS = 60_000; // workflows that the graph runs, and agents that it asks, change meanwhile

/** The graph is the key, so whoever asks about the same one has the answer already. */
export function validationQuery({ nodes, connections }: Document) {
  const graph = { nodes, connections };
  return queryOptions({
    queryKey: keys.workflows.validation(graph),
    queryFn: ({ signal }) => body(api.POST("/workflows/validate", { body: graph, signal })),
    staleTime: KEPT_MS,
    gcTime: KEPT_MS,
  });
}
