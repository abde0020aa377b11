/** What a person can do with a run. Each action brings the run up to date when it was accepted. */
import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";

export function useRunAction<Arguments, Answer>(runId: string, act: (args: Arguments) => Promise<Answer>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: act,
    onSettled: () => client.invalidateQueries({ queryKey: keys.runs.one(runId), exact: true }),
  });
}

export function approve(executionId: string, nodeId: string, decision: Schemas["ApprovalIn"]) {
  const params = { path: { executionId, nodeId } };
  return body(api.POST("/executions/{executionId}/approvals/{nodeId}", { params, body: decision }));
}

export function cancel(executionId: string) {
  return body(api.POST("/executions/{executionId}/cancel", { params: { path: { executionId } }, body: {} }));
}

export function resume(executionId: string, maxCredits: number) {
  const params = { path: { executionId } };
  return body(api.POST("/executions/{executionId}/resume", { params, body: { maxCredits } }));
}

export function retry(executionId: string, options: Schemas["RetryIn"], key: string) {
  const params = { path: { executionId }, header: { "Idempotency-Key": key } };
  return body(api.POST("/executions/{executionId}/retry", { params, body: options }));
}
