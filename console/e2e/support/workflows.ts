/** Workflows and runs, made through the API as any client makes them. */
import type { Page } from "@playwright/test";

import { call } from "./api";

export interface GraphNode {
  id: string;
  type: string;
  label?: string;
  config?: Record<string, unknown>;
  position?: { x: number; y: number };
}

export interface Graph {
  name: string;
  nodes: GraphNode[];
  connections: { from: string; to: string; fromPort?: string }[];
}

export async function saveWorkflow(page: Page, graph: Graph): Promise<string> {
  const saved = await call<{ workflow: { id: string } }>(page, "POST", "/workflows", { ...graph });
  return saved.workflow.id;
}

export async function startRun(page: Page, workflowId: string, input: unknown = null): Promise<string> {
  const started = await call<{ executionId: string }>(page, "POST", `/workflows/${workflowId}/execute`, {
    input,
  });
  return started.executionId;
}

export const EXECUTION_TIMEOUT = { timeout: 30_000 };
