/** The steps of a run: nodes in their iterations, with their data. */
import { queryOptions } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";

export type StepSummary = Schemas["Step"];
export type DataName = "input" | "output";

const PAGE = 50;

/** `state` is what the run says about the node: when it changes, the step is read again. */
export function stepQuery(executionId: string, nodeId: string, path: string, state: string) {
  return queryOptions({
    queryKey: [...keys.runs.one(executionId), "step", nodeId, path, state],
    queryFn: ({ signal }) => {
      const params = { path: { executionId, nodeId }, query: { path } };
      return body(api.GET("/executions/{executionId}/steps/{nodeId}", { params, signal }));
    },
  });
}

export interface StepPart {
  executionId: string;
  nodeId: string;
  path: string;
  data: DataName;
}

/** What follows at a pointer into a step's data, from `offset` on. */
export function readPart({ executionId, nodeId, path, data }: StepPart, pointer: string, offset: number) {
  const params = { path: { executionId, nodeId, data }, query: { path, pointer, offset } };
  return body(api.GET("/executions/{executionId}/steps/{nodeId}/{data}", { params }));
}

export function iterationsQuery(executionId: string, nodeId: string, onlyFailed: boolean, state: string) {
  return {
    queryKey: [...keys.runs.one(executionId), "iterations", nodeId, onlyFailed, state],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ signal, pageParam }: { signal: AbortSignal; pageParam: string | undefined }) => {
      const filter = { nodeId, limit: PAGE, ...(onlyFailed ? { status: "failed" as const } : {}) };
      const query = { ...filter, ...(pageParam ? { cursor: pageParam } : {}) };
      return body(
        api.GET("/executions/{executionId}/steps", { params: { path: { executionId }, query }, signal }),
      );
    },
    getNextPageParam: (page: { nextCursor: string | null }) => page.nextCursor ?? undefined,
  };
}

/** What the run says about a node, in short: the data of its steps may be others when it changes. */
export function stateOf(step: Pick<Schemas["Node"], "status" | "attempts" | "iterations">): string {
  return [step.status, step.attempts, step.iterations?.done, step.iterations?.total].join(" ");
}
