/** What the builder reads: the workflow with its tag, the node types, versions, and the last run. */
import { queryOptions } from "@tanstack/react-query";

import { api, body, type Schemas, tagOf } from "@/api/client";
import { keys } from "@/api/keys";
import { usePages } from "@/ui/usePages";

import type { Catalog } from "./context";

/** A workflow and the tag of that state of it, which goes with each change. */
export interface Stored {
  workflow: Schemas["Workflow"];
  tag: string;
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

export function useVersions(id: string) {
  return usePages(
    keys.workflows.versions(id),
    (query, signal) =>
      body(
        api.GET("/workflows/{workflowId}/versions", { params: { path: { workflowId: id }, query }, signal }),
      ),
    (page) => page.versions,
  );
}

/** A version by its number and its id, which tells apart what an editor's saves made of one, one after the other. */
export type VersionRef = Pick<Schemas["Version"], "id" | "version">;

/** What changed from one saved version to another. */
export function differenceQuery(id: string, from: VersionRef, to: VersionRef) {
  return queryOptions({
    queryKey: [...keys.workflows.versions(id), "difference", from.id, to.id],
    queryFn: ({ signal }) => {
      const path = { workflowId: id, number: from.version, other: to.version };
      return body(
        api.GET("/workflows/{workflowId}/versions/{number}/diff/{other}", { params: { path }, signal }),
      );
    },
    staleTime: Infinity,
  });
}

export function versionQuery(id: string, one: VersionRef) {
  return queryOptions({
    queryKey: [...keys.workflows.versions(id), one.version, one.id],
    queryFn: async ({ signal }) => {
      const path = { workflowId: id, number: one.version };
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
