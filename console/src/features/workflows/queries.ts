/** Workflows and what is done with them. */
import { queryOptions } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";

import type { WorkflowFile } from "./files";

export type Workflow = Schemas["Workflow"];

const PAGE = 25;
const RECENT = 12;

export function workflowsQuery(q: string) {
  const query = { limit: PAGE, ...(q ? { q } : {}) };
  return {
    queryKey: keys.workflows.list(query),
    initialPageParam: undefined as string | undefined,
    queryFn: ({ signal, pageParam }: { signal: AbortSignal; pageParam: string | undefined }) => {
      const params = { query: { ...query, ...(pageParam ? { cursor: pageParam } : {}) } };
      return body(api.GET("/workflows", { params, signal }));
    },
    getNextPageParam: (page: { nextCursor: string | null }) => page.nextCursor ?? undefined,
  };
}

/** The newest runs of a workflow, for its row. The key is one of a list of runs, so that it is kept up to date. */
export function recentRunsQuery(workflowId: string) {
  return queryOptions({
    queryKey: keys.runs.list({ workflowId, limit: RECENT }),
    queryFn: async ({ signal }) => {
      const params = { path: { workflowId }, query: { limit: RECENT, trial: false } };
      return (await body(api.GET("/workflows/{workflowId}/executions", { params, signal }))).executions;
    },
  });
}

export async function createWorkflow(workflow: WorkflowFile, key: string): Promise<Workflow> {
  const params = { header: { "Idempotency-Key": key } };
  const whole = {
    description: "",
    status: "active" as const,
    timeout: null,
    maxQueueSeconds: null,
    ...workflow,
  };
  return (await body(api.POST("/workflows", { params, body: whole }))).workflow;
}

export function removeWorkflow(workflowId: string) {
  return api.DELETE("/workflows/{workflowId}", { params: { path: { workflowId } }, keepalive: true });
}

/** Bring a deleted workflow back, within ten minutes; also when the page is left at once. */
export function restoreWorkflow(workflowId: string) {
  return api.POST("/workflows/{workflowId}/undelete", { params: { path: { workflowId } }, keepalive: true });
}

/** What a new workflow begins with: what comes in goes out. */
export function newWorkflow(name: string): WorkflowFile {
  return {
    name,
    nodes: [
      { id: "input", type: "input", label: "Input", position: { x: 0, y: 0 }, config: { inputType: "text" } },
      {
        id: "output",
        type: "output",
        label: "Output",
        position: { x: 0, y: 160 },
        config: { value: "{{ nodes.input.output }}" },
      },
    ],
    connections: [{ id: "input-output", from: "input", to: "output" }],
  };
}
