/** Workflows and runs, made through the API as any client makes them. */
import { expect, type Page } from "@playwright/test";

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

/** A POST of the signed-in user of `page`. */
export async function post<Answer>(page: Page, path: string, data: object): Promise<Answer> {
  const cookies = await page.context().cookies();
  const token = cookies.find(({ name }) => name === "agentforge_csrf")?.value ?? "";
  const response = await page.request.post(`../api${path}`, { data, headers: { "X-CSRF-TOKEN": token } });
  expect(response.ok(), `POST ${path}: ${await response.text()}`).toBe(true);
  return (await response.json()) as Answer;
}

export async function saveWorkflow(page: Page, graph: Graph): Promise<string> {
  const saved = await post<{ workflow: { id: string } }>(page, "/workflows", graph);
  return saved.workflow.id;
}

export async function startRun(page: Page, workflowId: string, input: unknown = null): Promise<string> {
  const started = await post<{ executionId: string }>(page, `/workflows/${workflowId}/execute`, { input });
  return started.executionId;
}

export const EXECUTION_TIMEOUT = { timeout: 30_000 };

/** Asks a person, and passes the answer on. */
export const QUESTION: Graph = {
  name: "Publish the article",
  nodes: [
    {
      id: "ask",
      type: "approval",
      label: "May it go out?",
      config: { message: "Shall the article be published?" },
      position: { x: 0, y: 0 },
    },
    { id: "yes", type: "output", label: "Published", config: {}, position: { x: -130, y: 140 } },
    { id: "no", type: "output", label: "Kept back", config: {}, position: { x: 130, y: 140 } },
  ],
  connections: [
    { from: "ask", to: "yes", fromPort: "approved" },
    { from: "ask", to: "no", fromPort: "rejected" },
  ],
};
