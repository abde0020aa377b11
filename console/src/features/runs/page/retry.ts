/** What a retry reuses. */
import type { FullRun } from "@/api/runs";
import { sumOf } from "@/ui/decimal";

/** The steps that succeeded, and what they cost: the most that a retry of the same version saves. */
export function reusable(run: Pick<FullRun, "nodes">): { steps: number; credits: string } {
  const done = run.nodes.filter(({ status }) => status === "success");
  return { steps: done.length, credits: sumOf(done.map(({ credits }) => credits)) };
}

/** The step from which a retry goes on. */
export function failedStep(run: Pick<FullRun, "nodes" | "errorDetails">): string | null {
  const id = run.errorDetails?.nodeId;
  const failed =
    run.nodes.find(({ nodeId }) => nodeId === id) ?? run.nodes.find(({ status }) => status === "failed");
  return failed?.label ?? null;
}
