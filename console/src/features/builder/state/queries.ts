/** What the builder reads: the workflow with its tag, the node types, versions, and the last run. */
import { queryOptions } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";

import type { Catalog } from "./context";

/** A workflow and the tag of that state of it, which goes with each change. */
export interface Stored {
  workflow: Schemas["Workflow"];
  tag: string;
}

export function tagOf(response: Response): string {
  return response.headers.get("ETag") ?? "*";
}

/** Read once when the builder opens: what is edited afterwards is the editor's. */
export function storedQuery(id: string) {
  return queryOptions({
    queryKey: [...keys.workflows.one(id), "stored"],
    queryFn: async ({ signal }): Promise<Stored> => {
      const call = await api.GET("/workflows/{workflowId}", { params: { path: { workflowId: id } }, signal });
      return { workflow: (await body(Promise.resolve(call))).workflow, tag: tagOf(call.response) };
    },
    gcTime: 0,
    staleTime: Infinity,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
}

function catalogOf(document: Schemas["NodeTypes"]): Catalog {
  const types = new Map(document.nodeTypes.map((type) => [type.type, type]));
  return { document, types, rulesOf: (type) => types.get(type) };
}

export const catalogQuery = queryOptions({
  queryKey: keys.nodeTypes,
  queryFn: ({ signal }) => body(api.GET("/node-types", { signal })),
  select: catalogOf,
  staleTime: 3_600_000,
});

export function versionsQuery(id: string) {
  return queryOptions({
    queryKey: keys.workflows.versions(id),
    queryFn: ({ signal }) =>
      body(
        api.GET("/workflows/{workflowId}/versions", {
          params: { path: { workflowId: id }, query: { limit: 50 } },
          signal,
        }),
      ),
  });
}

/** `versionId` tells apart what an editor's saves made of one version, one after the other. */
export function versionQuery(id: string, number: number, versionId: string) {
  return queryOptions({
    queryKey: [...keys.workflows.versions(id), number, versionId],
    queryFn: async ({ signal }) => {
      const path = { workflowId: id, number };
      const { version } = await body(
        api.GET("/workflows/{workflowId}/versions/{number}", { params: { path }, signal }),
      );
      return version;
    },
    staleTime: Infinity,
  });
}

/** The newest run of the workflow, null before the first one. */
export function lastRunQuery(id: string) {
  return queryOptions({
    queryKey: keys.runs.list({ newestOf: id }),
    queryFn: async ({ signal }) => {
      const path = { workflowId: id };
      const page = await body(
        api.GET("/workflows/{workflowId}/executions", {
          params: { path, query: { limit: 1, trial: false } },
          signal,
        }),
      );
      return page.executions[0] ?? null;
    },
  });
}
