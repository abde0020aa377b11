/** Calls of the API by the person who is signed in in a page, to prepare what a journey is about. */
import { expect, type Page } from "@playwright/test";

type Json = Record<string, unknown>;

export async function call<Answer = Json>(
  page: Page,
  method: "GET" | "POST" | "PUT" | "DELETE",
  path: string,
  data?: Json,
): Promise<Answer> {
  const send = async () => {
    const cookies = await page.context().cookies();
    const token = cookies.find(({ name }) => name === "agentforge_csrf")?.value ?? "";
    const headers = { "X-CSRF-TOKEN": token };
    return page.request.fetch(`../api${path}`, { method, headers, ...(data ? { data } : {}) });
  };
  let response = await send();
  // The page may have renewed the session, and with it the token, in between.
  if (response.status() === 403) response = await send();
  expect(response.ok(), `${method} ${path}: ${await response.text()}`).toBe(true);
  return (await response.json().catch(() => ({}))) as Answer;
}

type Node = Json & { id: string };

const node = (id: string, type: string, label: string, y: number, config: Json, more: Json = {}): Node => ({
  id,
  type,
  label,
  position: { x: 0, y },
  config,
  ...more,
});

const connection = (from: string, to: string, fromPort?: string) => ({
  id: `${from}-${to}`,
  from,
  to,
  ...(fromPort ? { fromPort } : {}),
});

/** A graph that asks a person before it answers. */
export function asking(label = "Send the answer?") {
  return {
    nodes: [
      node("text", "input", "Letter", 0, { inputType: "text", required: true }),
      node("ask", "approval", label, 120, { message: "Is this right: {{ nodes.text.output }}?" }),
      node("yes", "output", "Answer", 240, { value: "{{ nodes.ask.output }}" }),
    ],
    connections: [connection("text", "ask"), connection("ask", "yes", "approved")],
  };
}

/** A graph that waits for some seconds. */
export function waiting(seconds: number) {
  return {
    nodes: [
      node("first", "process", "Begin", 0, { operation: "transform", expression: "1" }),
      node("pause", "wait", "Pause", 120, { seconds }),
      node("last", "output", "End", 240, { value: "{{ nodes.first.output }}" }),
    ],
    connections: [connection("first", "pause"), connection("pause", "last")],
  };
}

/** A graph that fails at its second step, unless its input has rates. */
export function failing() {
  return {
    nodes: [
      node("in", "input", "Amounts", 0, { inputType: "json" }),
      node("convert", "process", "Convert", 120, {
        operation: "transform",
        expression: "nodes.in.output.rates.EUR",
      }),
      node("out", "output", "Report", 240, { value: "{{ nodes.convert.output }}" }),
    ],
    connections: [connection("in", "convert"), connection("convert", "out")],
  };
}

/** A graph that does something for each item of its input. */
export function looping(label = "Each line") {
  return {
    nodes: [
      node("rows", "input", "Lines", 0, { inputType: "json" }),
      node("each", "loop", label, 120, { items: "{{ nodes.rows.output }}" }),
      node(
        "line",
        "process",
        "Line",
        180,
        { operation: "transform", expression: "item" },
        { parentId: "each" },
      ),
      node("out", "output", "All", 360, { value: "{{ nodes.each.output }}" }),
    ],
    connections: [connection("rows", "each"), connection("each", "out")],
  };
}

export async function createWorkflow(
  page: Page,
  name: string,
  graph: Json,
  more: Json = {},
): Promise<string> {
  const { workflow } = await call<{ workflow: { id: string } }>(page, "POST", "/workflows", {
    name,
    ...graph,
    ...more,
  });
  return workflow.id;
}

export async function startRun(page: Page, workflowId: string, run: Json = {}): Promise<string> {
  const { executionId } = await call<{ executionId: string }>(
    page,
    "POST",
    `/workflows/${workflowId}/execute`,
    run,
  );
  return executionId;
}

/** Wait until a run has one of these states. */
export async function runReaches(page: Page, runId: string, ...statuses: string[]): Promise<void> {
  await expect
    .poll(async () => (await call<{ status: string }>(page, "GET", `/executions/${runId}`)).status, {
      timeout: 30_000,
    })
    .toMatch(new RegExp(`^(${statuses.join("|")})$`));
}
