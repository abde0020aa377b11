/** The outcomes of a workflow's newest runs, as a picture and as words. */
import type { Run } from "@/api/runs";

export type Outcome = "success" | "failed" | "cancelled" | "open";

export function outcomeOf({ status }: Pick<Run, "status">): Outcome {
  return status === "success" || status === "failed" || status === "cancelled" ? status : "open";
}

/** "9 of 10 succeeded": of the runs that ended by themselves. */
export function successWord(runs: readonly Pick<Run, "status">[]): string {
  const succeeded = runs.filter(({ status }) => status === "success").length;
  const judged = succeeded + runs.filter(({ status }) => status === "failed").length;
  if (judged === 0) return "none ended yet";
  return `${succeeded} of ${judged} succeeded`;
}

const NOUNS: Record<Outcome, string> = {
  success: "succeeded",
  failed: "failed",
  cancelled: "cancelled",
  open: "under way",
};

/** All outcomes in words, for those who do not see the bars. */
export function outcomesWord(runs: readonly Pick<Run, "status">[]): string {
  const counts = (["success", "failed", "cancelled", "open"] as const).map((outcome) => ({
    outcome,
    count: runs.filter((run) => outcomeOf(run) === outcome).length,
  }));
  const said = counts
    .filter(({ count }) => count > 0)
    .map(({ outcome, count }) => `${count} ${NOUNS[outcome]}`);
  return `Last ${runs.length === 1 ? "run" : `${runs.length} runs`}: ${said.join(", ")}`;
}
