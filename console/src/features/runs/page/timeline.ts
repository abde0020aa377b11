/** Where the bars of a run's steps stand in time. */
import type { FullRun } from "@/api/runs";
import type { Schemas } from "@/api/client";

export type Step = Schemas["Node"];

export interface TimelineRow {
  step: Step;
  /** The number of loops around it. */
  depth: number;
  /** Where its bar begins and how long it is, as parts of the run; null before it begins. */
  bar: { start: number; length: number } | null;
}

const LEAST_LENGTH = 0.004;

/** The steps in the order of the graph, those of a loop behind it. */
export function timelineOf(run: Pick<FullRun, "nodes" | "startTime" | "endTime">, now: Date): TimelineRow[] {
  const start = Date.parse(run.startTime);
  const end = Math.max(run.endTime ? Date.parse(run.endTime) : now.getTime(), start + 1);
  const place = (step: Step) => barOf(step, start, end);
  return inOrder(run.nodes).map(({ step, depth }) => ({ step, depth, bar: place(step) }));
}

function barOf(step: Step, start: number, end: number): TimelineRow["bar"] {
  if (!step.startedAt) return null;
  const share = (time: number) => Math.min(1, Math.max(0, (time - start) / (end - start)));
  const from = share(Date.parse(step.startedAt));
  const until = share(step.finishedAt ? Date.parse(step.finishedAt) : end);
  const length = Math.max(LEAST_LENGTH, until - from);
  return { start: Math.min(from, 1 - length), length };
}

function inOrder(steps: readonly Step[]): { step: Step; depth: number }[] {
  const ids = new Set(steps.map(({ nodeId }) => nodeId));
  const parentOf = (step: Step) => (step.parentId && ids.has(step.parentId) ? step.parentId : null);
  const below = (parent: string | null, depth: number): { step: Step; depth: number }[] =>
    steps
      .filter((step) => parentOf(step) === parent)
      .flatMap((step) => [{ step, depth }, ...below(step.nodeId, depth + 1)]);
  return below(null, 0);
}
