/** Workflows for journeys through the builder, made by the API in the name of the page's user. */
import type { Page } from "@playwright/test";

import { call } from "./api";

export interface Graph {
  nodes: object[];
  connections: object[];
}

export async function newWorkflow(
  page: Page,
  name: string,
  graph: Graph = { nodes: [], connections: [] },
): Promise<string> {
  const data = { name, status: "draft", ...graph };
  const saved = await call<{ workflow: { id: string } }>(page, "POST", "/workflows", data);
  return saved.workflow.id;
}

export async function storedGraph(
  page: Page,
  id: string,
): Promise<{ nodes: Record<string, unknown>[]; connections: Record<string, unknown>[]; name: string }> {
  const response = await page.request.get(`../api/workflows/${id}`);
  return ((await response.json()) as { workflow: never }).workflow;
}

/** A workflow that says a word in another way; its decision has two ends. */
export function sample(): Graph {
  return {
    nodes: [
      {
        id: "word",
        type: "input",
        label: "Word",
        position: { x: 0, y: 0 },
        config: { inputType: "text", required: true },
      },
      {
        id: "loud",
        type: "process",
        label: "Shout",
        position: { x: 0, y: 120 },
        config: { expression: "input.toUpperCase()" },
      },
      {
        id: "long",
        type: "decision",
        label: "Is it long?",
        position: { x: 0, y: 240 },
        config: { condition: "data.length > 5" },
      },
      {
        id: "yes",
        type: "output",
        label: "Long word",
        position: { x: -110, y: 380 },
        config: { value: "{{ nodes.loud.output }}!" },
      },
      {
        id: "no",
        type: "output",
        label: "Short word",
        position: { x: 110, y: 380 },
        config: { value: "{{ nodes.loud.output }}" },
      },
    ],
    connections: [
      { id: "a", from: "word", to: "loud" },
      { id: "b", from: "loud", to: "long" },
      { id: "c", from: "long", to: "yes", fromPort: "true" },
      { id: "d", from: "long", to: "no", fromPort: "false" },
    ],
  };
}

/** A graph with loops, of as many nodes as asked for. */
export function large(count: number): Graph {
  const nodes: object[] = [];
  const connections: object[] = [];
  for (let index = 0; index < count; index += 1) {
    const [column, row] = [index % 12, Math.floor(index / 12)];
    nodes.push({
      id: `n${index}`,
      type: index === 0 ? "input" : "process",
      label: `Step ${index}`,
      position: { x: column * 210, y: row * 120 },
      config: index === 0 ? {} : { expression: "data" },
    });
    if (row > 0) connections.push({ id: `c${index}`, from: `n${index - 12}`, to: `n${index}` });
  }
  return { nodes, connections };
}

/** Paste a graph into the open builder and show all of it; it may have more nodes than a free account may store. */
export async function pasteGraph(page: Page, graph: Graph): Promise<void> {
  await page.getByRole("textbox", { name: "Name of the workflow" }).waitFor();
  await page.evaluate(
    (text) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text/plain", text);
      document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
    },
    JSON.stringify({ kind: "agentforge/nodes", ...graph }),
  );
  await page.keyboard.press("Escape");
  await page.keyboard.press("f");
}
