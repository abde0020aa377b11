/** Trying one node: with the data of the last run, with other data, on a phone, and what cannot be tried. */
import type { Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { newWorkflow, sample } from "./support/builder";
import { look } from "./support/looks";
import { expect, test } from "./support/test";

const node = (page: Page, id: string) => page.locator(`.react-flow__node[data-id="${id}"]`);
const trial = (page: Page) => page.getByRole("region", { name: "Trial" });
const field = (page: Page, name: string) => page.getByRole("textbox", { name });

async function open(page: Page, graph = sample()): Promise<void> {
  await enter(page);
  await page.goto(`workflows/${await newWorkflow(page, "Trials", graph)}`);
  await node(page, graph.nodes.length > 2 ? "long" : "each").waitFor();
}

async function write(page: Page, name: string, text: string) {
  await field(page, name).click();
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete");
  await page.keyboard.insertText(text);
}

async function run(page: Page, word: string) {
  await page.getByRole("button", { name: "Run", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Word" }).fill(word);
  await dialog.getByRole("button", { name: "Run" }).click();
  await expect(page.getByRole("region", { name: "Run" }).getByText("Success")).toBeVisible({
    timeout: 30_000,
  });
}

test("tries a node with the last run's data, then with others", async ({ page }) => {
  test.slow();
  await open(page);
  await run(page, "orchestra");
  await node(page, "long").click();
  await page.getByRole("tab", { name: "Try" }).click();
  await expect(field(page, "Output of Shout")).toContainText('"ORCHESTRA"');
  await page.getByRole("button", { name: "Try this node" }).click();
  await expect(trial(page).getByText("Success")).toBeVisible({ timeout: 30_000 });
  await expect(trial(page)).toContainText("It leaves by true");
  await expect(trial(page)).toContainText("1.1");

  await write(page, "Output of Shout", '"TEA"');
  await page.getByRole("button", { name: "Try this node" }).click();
  await expect(trial(page)).toContainText("It leaves by false", { timeout: 30_000 });
  await look(page, "builder-try");

  await page.setViewportSize({ width: 1280, height: 800 });
  await page.reload();
  await node(page, "long").click();
  await page.getByRole("tab", { name: "Try" }).click();
  await expect(field(page, "Output of Shout")).toContainText('"TEA"');
  await page.getByRole("button", { name: "Take the last run’s data" }).click();
  await expect(field(page, "Output of Shout")).toContainText('"ORCHESTRA"');

  await page.goto("runs");
  await expect(page.getByText("Trial", { exact: true })).toHaveCount(2);
  await page.getByRole("link", { name: "Trials" }).first().click();
  await expect(page.getByRole("link", { name: "Trial of “Is it long?”" })).toBeVisible();
  await expect(node(page, "loud")).toBeVisible();
  await look(page, "run-trial");
});

test("says what is wrong with the data, and shows the error of the node", async ({ page }) => {
  await open(page);
  await node(page, "long").click();
  await page.getByRole("tab", { name: "Try" }).click();
  await write(page, "Output of Shout", "TEA");
  await page.getByRole("button", { name: "Try this node" }).click();
  await expect(page.getByText(/^This is not JSON/)).toBeVisible();
  await write(page, "Output of Shout", "null");
  await page.getByRole("button", { name: "Try this node" }).click();
  await expect(trial(page).getByText("It failed")).toBeVisible({ timeout: 30_000 });
});

test("tries the nodes in a loop, and not the loop", async ({ page }) => {
  const step = { id: "step", type: "process", label: "Step", parentId: "each", position: { x: 0, y: 60 } };
  const nodes = [
    { id: "each", type: "loop", label: "Each", position: { x: 0, y: 0 }, config: { items: [1, 2] } },
    { ...step, config: { expression: "item.n * 2" } },
  ];
  await open(page, { nodes, connections: [] });
  await node(page, "step").click();
  await page.getByRole("tab", { name: "Try" }).click();
  await write(page, "Item of the loop", '{"n": 21}');
  await page.getByRole("button", { name: "Try this node" }).click();
  await expect(page.getByRole("group", { name: "Output of the trial" })).toContainText("42", {
    timeout: 30_000,
  });
  await node(page, "each").click({ position: { x: 40, y: 16 } });
  await expect(page.getByText("A loop cannot be tried alone")).toBeVisible();
});

test.describe("on a phone", () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

  test("tries a node by thumb", async ({ page }) => {
    await open(page);
    await node(page, "loud").tap();
    await page.getByRole("toolbar").getByRole("button", { name: "Settings" }).tap();
    const settings = page.getByRole("dialog", { name: "Settings of the node" });
    await settings.getByRole("tab", { name: "Try" }).tap();
    await write(page, "Input of the run", '"tea"');
    await settings.getByRole("button", { name: "Try this node" }).tap();
    await expect(settings.getByRole("group", { name: "Output of the trial" })).toContainText("TEA", {
      timeout: 30_000,
    });
  });
});
