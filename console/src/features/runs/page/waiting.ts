/** Why a run waits, as the API tells it. */
import type { FullRun } from "@/api/runs";

/** A run below this one that a person can help. */
export interface WaitingChild {
  executionId: string;
  workflowName: string;
  message: string;
}

export interface Waiting {
  type: string;
  message: string;
  nodeId: string | null;
  /** The iteration, empty outside of loops. */
  path: string;
  /** When it ends by itself. */
  until: string | null;
  children: WaitingChild[];
}

type Document = Record<string, unknown>;

const text = (value: unknown): string | null => (typeof value === "string" ? value : null);

export function waitingOf(run: Pick<FullRun, "waitingFor">): Waiting | null {
  const document = run.waitingFor;
  if (!document) return null;
  const runs = Array.isArray(document.runs) ? (document.runs as Document[]) : [];
  return {
    type: text(document.type) ?? "unknown",
    message: text(document.message) ?? "This run waits.",
    nodeId: text(document.nodeId),
    path: text(document.path) ?? "",
    until: text(document.until),
    children: runs.map((child) => ({
      executionId: text(child.executionId) ?? "",
      workflowName: text(child.workflowName) ?? "A run",
      message: text((child.waitingFor as Document | null)?.message) ?? "",
    })),
  };
}

/** "3" or "3.0" for people, who count from 1; null outside of loops. */
export function iterationName(path: string): string | null {
  if (path === "") return null;
  return `Iteration ${path
    .split(".")
    .map((index) => Number(index) + 1)
    .join(".")}`;
}
