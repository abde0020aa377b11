/** Building a workflow: by mouse, by keyboard, by thumb; running it live; two tabs; large graphs. */
import type { Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { newWorkflow, sample, storedGraph } from "./support/builder";
import { look, seriousViolations } from "./support/looks";
import { expect, test } from "./support/test";

const PHONE = { width: 390, height: 844 };

const node = (page: Page, id: string) => page.locator(`.react-flow__node[data-id="${id}"]`);
const port = (page: Page, id: string, name = "") => node(page, id).locator(`[data-handleid="port:${name}"]`);

async function open(page: Page, name: string, graph?: ReturnType<typeof sample>): Promise<string> {
  await enter(page);
  const id = await newWorkflow(page, name, graph);
  await page.goto(`workflows/${id}`);
  await page.getByRole("textbox", { name: "Name of the workflow" }).waitFor();
  return id;
}

async function saved(page: Page) {
  await expect(page.getByRole("status").filter({ hasText: /^Saved$/ })).toBeVisible();
}

/** Drag from the middle of one element to the middle of another, as a hand does. */
async function drag(page: Page, from: ReturnType<typeof node>, to: ReturnType<typeof node>) {
  const [start, end] = [await from.boundingBox(), await to.boundingBox()];
  if (!start || !end) throw new Error("Both have to be visible.");
  await page.mouse.move(start.x + start.width / 2, start.y + start.height / 2);
  await page.mouse.down();
  await page.mouse.move(end.x + end.width / 2, end.y + end.height / 2, { steps: 12 });
  await page.mouse.up();
}

test("builds a workflow by mouse, and runs it live", async ({ page }) => {
  const id = await open(page, "Greeting");
  const types = page.getByRole("list", { name: "Node types" });
  await types.getByRole("button", { name: /^Input/ }).dragTo(page.locator(".react-flow__pane"), {
    targetPosition: { x: 350, y: 120 },
  });
  await page.getByLabel("Type", { exact: true }).first().click();
  await page.getByRole("option", { name: "Text" }).click();
  await types.getByRole("button", { name: /^Process/ }).click();
  await page.getByRole("textbox", { name: "Expression" }).click();
  await page.keyboard.type('"Hello " + data');
  await page.getByRole("button", { name: "Close the settings" }).click();
  await types.getByRole("button", { name: /^Output/ }).dragTo(page.locator(".react-flow__pane"), {
    targetPosition: { x: 350, y: 480 },
  });
  await page.getByRole("button", { name: "Close the settings" }).click();
  await drag(page, port(page, "process"), node(page, "output").locator('[data-handleid="in"]'));
  await saved(page);
  const stored = await storedGraph(page, id);
  expect(stored.connections.map(({ from, to }) => [from, to])).toEqual([
    ["input", "process"],
    ["process", "output"],
  ]);

  await page.getByRole("button", { name: "Run", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Input" }).fill("Ada");
  await dialog.getByRole("button", { name: "Run" }).click();
  const run = page.getByRole("region", { name: "Run" });
  await expect(run.getByText("Success")).toBeVisible({ timeout: 30_000 });
  await expect(node(page, "process").getByRole("img", { name: "Success" })).toBeVisible();
  await node(page, "process").click();
  await page.getByRole("tab", { name: "Data" }).click();
  await expect(page.getByRole("group", { name: "Output", exact: true })).toContainText("Hello Ada");
});

test("builds a workflow by keyboard alone", async ({ page }) => {
  const id = await open(page, "Keys");
  for (const type of ["input", "process", "output"]) {
    await page.locator("body").press("a");
    await page.getByRole("dialog").getByRole("textbox", { name: "Search node types" }).fill(type);
    await page.keyboard.press("Enter");
    await expect(page.getByRole("dialog")).toHaveCount(0);
    await expect(node(page, type)).toBeVisible();
  }
  await saved(page);
  expect((await storedGraph(page, id)).connections).toHaveLength(2);

  await node(page, "process").focus();
  await page.keyboard.press("Enter");
  const { x } = (await node(page, "process").boundingBox()) ?? { x: 0 };
  await page.keyboard.press("ArrowRight");
  await expect.poll(async () => (await node(page, "process").boundingBox())?.x).toBeGreaterThan(x);
  await page.keyboard.press("Delete");
  await expect(node(page, "process")).toHaveCount(0);
  await page.keyboard.press("Control+z");
  await expect(node(page, "process")).toBeVisible();

  await node(page, "input").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("c");
  await expect(page.getByText("Choose the node after")).toBeVisible();
  await node(page, "output").focus();
  await page.keyboard.press("Enter");
  await saved(page);
  expect((await storedGraph(page, id)).connections).toHaveLength(3);

  await page.keyboard.press("Control+a");
  await page.keyboard.press("Control+d");
  await expect(node(page, "process2")).toBeVisible();
  await page.keyboard.press("Control+z");
  await expect(node(page, "process2")).toHaveCount(0);
  await page.keyboard.press("Control+Shift+z");
  await expect(node(page, "process2")).toBeVisible();
});

test("completes an expression from the last run", async ({ page }) => {
  await open(page, "Completion", sample());
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: "Word" }).fill("orchestra");
  await page.getByRole("dialog").getByRole("button", { name: "Run" }).click();
  await expect(page.getByRole("region", { name: "Run" }).getByText("Success")).toBeVisible({
    timeout: 30_000,
  });
  await node(page, "yes").click();
  const value = page.getByRole("textbox", { name: "Value" });
  await value.click();
  await page.keyboard.press("Control+End");
  await page.keyboard.type(" {{ nodes.");
  const options = page.getByRole("listbox");
  await expect(options).toContainText("loud");
  await expect(options).not.toContainText("Short");
  await page.keyboard.type("lo");
  await page.keyboard.press("Enter");
  await page.keyboard.type(".");
  await expect(options).toContainText("ORCHESTRA");
  await page.keyboard.type("output }");
  await expect(page.getByText("Last run: ORCHESTRA! ORCHESTRA")).toBeVisible();
});

test("puts nodes into a loop and out of it, and shows what is wrong", async ({ page }) => {
  const graph = {
    nodes: [
      { id: "each", type: "loop", label: "Each", position: { x: 0, y: 0 } },
      {
        id: "step",
        type: "process",
        label: "Step",
        position: { x: 320, y: 40 },
        config: { expression: "item" },
      },
    ],
    connections: [],
  };
  const id = await open(page, "Loop", graph);
  await expect(page.getByRole("button", { name: /errors, .* warnings/ })).toBeVisible();
  await drag(page, node(page, "step"), node(page, "each"));
  await saved(page);
  expect((await storedGraph(page, id)).nodes.find(({ id: found }) => found === "step")?.parentId).toBe(
    "each",
  );
  await page.getByRole("button", { name: "Undo" }).click();
  await saved(page);
  expect(
    (await storedGraph(page, id)).nodes.find(({ id: found }) => found === "step")?.parentId,
  ).toBeUndefined();
});

test("asks which version stays when two tabs edit one workflow", async ({ page, context }) => {
  const id = await open(page, "Two tabs", sample());
  const other = await context.newPage();
  await other.goto(`workflows/${id}`);
  await node(other, "loud").click();
  await other.getByRole("textbox", { name: "Label" }).fill("Louder");
  await saved(other);
  await page.bringToFront();
  await node(page, "word").click();
  await page.getByRole("textbox", { name: "Label" }).fill("A word");
  const dialog = page.getByRole("dialog", { name: "This workflow was changed elsewhere" });
  await expect(dialog.getByText("Yours", { exact: true })).toBeVisible();
  await expect(dialog.getByText("Stored", { exact: true })).toBeVisible();
  await expect(dialog).toContainText("Louder");
  expect(await seriousViolations(page)).toEqual([]);
  await page.screenshot({ path: "../build/screenshots/builder-conflict-desk.png" });
  await dialog.getByRole("button", { name: "Keep mine" }).click();
  await saved(page);
  const labels = (await storedGraph(page, id)).nodes.map(({ label }) => label);
  expect(labels).toContain("A word");
  expect(labels).toContain("Shout");

  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Versions" }).click();
  await page.getByRole("button", { name: /^Version 2/ }).click();
  await expect(page.getByRole("region", { name: "What changed since" })).toContainText("Louder");
  await page.getByRole("button", { name: "Restore version 2" }).click();
  await expect(node(page, "loud")).toContainText("Louder");
});

test("takes a workflow that another tab deleted for what it is", async ({ page }) => {
  await enter(page);
  await page.goto("workflows/5f0c8a52-71f3-4c7d-8a9e-0b1c2d3e4f50");
  await expect(page.getByRole("alert")).toBeVisible();
});

test.describe("on a phone", () => {
  test.use({ viewport: PHONE, hasTouch: true, isMobile: true });

  test("builds with a thumb", async ({ page }) => {
    const id = await open(page, "Thumb");
    for (const type of ["Input", "Process", "Output"]) {
      await page.getByRole("button", { name: "Add a node" }).last().tap();
      await page
        .getByRole("dialog")
        .getByRole("button", { name: new RegExp(`^${type}`) })
        .tap();
      await expect(page.getByRole("dialog")).toHaveCount(0);
    }
    await node(page, "process").tap();
    await page.getByRole("toolbar").getByRole("button", { name: "Settings" }).tap();
    const settings = page.getByRole("dialog", { name: "Settings of the node" });
    await settings.getByRole("textbox", { name: "Label" }).fill("Work");
    expect(await seriousViolations(page)).toEqual([]);
    await settings.getByRole("button", { name: "Close the settings" }).tap();
    await node(page, "input").tap();
    await page.getByRole("toolbar").getByRole("button", { name: "Connect" }).tap();
    await node(page, "output").tap();
    await expect(page.locator(".react-flow__edge")).toHaveCount(3);
    await expect
      .poll(async () => (await storedGraph(page, id)).connections.length, { timeout: 15_000 })
      .toBe(3);
    expect((await storedGraph(page, id)).nodes.map(({ label }) => label)).toContain("Work");
  });
});

/** What the content security policy refused, as the browser tells. */
function refusals(page: Page): string[] {
  const texts: string[] = [];
  page.on("console", (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) texts.push(message.text());
  });
  return texts;
}

test("looks right without nodes", async ({ page }) => {
  test.slow();
  await open(page, "Empty");
  await look(page, "builder-empty");
});

test("looks right with a graph", async ({ page }) => {
  test.slow();
  const refused = refusals(page);
  await open(page, "Shout a word", sample());
  await node(page, "long").waitFor();
  await look(page, "builder");
  await page.setViewportSize({ width: 1280, height: 800 });
  const before = await node(page, "yes").boundingBox();
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Tidy the layout" }).click();
  await expect.poll(() => node(page, "yes").boundingBox()).not.toEqual(before);
  expect(refused).toEqual([]);
});

test("looks right with settings", async ({ page }) => {
  test.slow();
  const refused = refusals(page);
  await open(page, "Shout a word", sample());
  await node(page, "long").click();
  await page.getByRole("textbox", { name: "Condition" }).waitFor();
  await look(page, "builder-settings");
  expect(refused).toEqual([]);
});
