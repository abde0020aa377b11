/** Lists of workflows and runs: finding, changing many, copying, files, and undoing. */
import { readFileSync } from "node:fs";

import { enter } from "./support/accounts";
import { asking, call, createWorkflow, failing, runReaches, startRun } from "./support/api";
import { expect, test } from "./support/test";

test("a workflow is copied, exported, imported, and its deletion undone", async ({ page }) => {
  await enter(page);
  await createWorkflow(page, "Letters", asking());
  await page.goto("workflows");
  const more = page.getByRole("button", { name: "More about Letters", exact: true });
  await more.click();
  await page.getByRole("menuitem", { name: "Duplicate" }).click();
  await expect(page.getByRole("link", { name: "Letters (copy)" })).toBeVisible();

  await more.click();
  const download = page.waitForEvent("download");
  await page.getByRole("menuitem", { name: "Export as JSON" }).click();
  const file = await (await download).path();
  expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ name: "Letters", ...asking() });

  await more.click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await expect(more).toBeHidden();
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(more).toBeVisible();
  await page.reload();
  await expect(more).toBeVisible();

  await page.getByLabel("Workflow file").setInputFiles(file);
  await expect(page).toHaveURL(/\/workflows\/[0-9a-f-]{36}/);
});

test("a workflow stays deleted when the tab is closed", async ({ page, context }) => {
  await enter(page);
  await createWorkflow(page, "Letters", asking());
  await page.goto("workflows");
  await page.getByRole("button", { name: "More about Letters" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await expect(page.getByRole("button", { name: "Undo" })).toBeVisible();
  await page.close();
  const later = await context.newPage();
  await later.goto("workflows");
  await expect(later.getByText("No workflows yet")).toBeVisible();
});

test("what is no workflow is not imported, and the page says why", async ({ page }) => {
  await enter(page);
  await page.goto("workflows");
  const file = { name: "x.json", mimeType: "application/json", buffer: Buffer.from("[1]") };
  await page.getByLabel("Workflow file").setInputFiles(file);
  await expect(page.getByRole("alert")).toContainText("The file has no workflow.");
});

test("runs are found by state, words and tag, and the address holds the filter", async ({ page }) => {
  await enter(page);
  const letters = await createWorkflow(page, "Letters", asking());
  const report = await createWorkflow(page, "Report", failing());
  await startRun(page, letters, { input: "x", tags: ["night"] });
  await runReaches(page, await startRun(page, report, { input: {}, tags: ["day"] }), "failed");
  await page.goto("runs");
  const list = page.getByRole("table", { name: "Runs" });
  await expect(list.getByRole("link", { name: "Letters" })).toBeVisible();

  await page.getByText("Failed", { exact: true }).first().click();
  await expect(list.getByRole("link", { name: "Letters" })).toBeHidden();
  await expect(list.getByRole("link", { name: "Report" })).toBeVisible();
  await expect(page).toHaveURL(/status=failed/);

  await page.goto("runs?tag=night");
  await expect(list.getByRole("link", { name: "Letters" })).toBeVisible();
  await expect(list.getByRole("link", { name: "Report" })).toBeHidden();
  await page.getByLabel("Find words in errors, tags and workflows").fill("nowhere");
  await expect(page.getByText("No run is like that")).toBeVisible();
  await page.getByRole("link", { name: "Show all runs" }).click();
  await expect(list.getByRole("link", { name: "Report" })).toBeVisible();
});

test("several runs are cancelled and retried at once, live", async ({ page }) => {
  await enter(page);
  const report = await createWorkflow(page, "Report", failing());
  for (let count = 0; count < 2; count += 1) {
    await runReaches(page, await startRun(page, report, { input: {}, maxCredits: 1.3 }), "failed");
  }
  await page.goto("runs");
  await page.getByRole("checkbox", { name: "Choose all rows" }).check();
  await page.getByRole("button", { name: "Retry 2" }).click();
  await page.getByRole("button", { name: "Retry them" }).click();
  await expect(page.getByText("2 runs are retried.")).toBeVisible();
  await expect(page.getByRole("table", { name: "Runs" }).getByRole("row")).toHaveCount(5);
});

test("lists and the home screen are live, by one stream", async ({ page }) => {
  await enter(page);
  const streams: string[] = [];
  page.on("request", (request) => {
    if (new URL(request.url()).pathname.endsWith("/events")) streams.push(request.frame().url());
  });
  const letters = await createWorkflow(page, "Letters", asking());
  await page.goto("runs");
  await expect(page.getByText("No runs yet")).toBeVisible();
  const run = await startRun(page, letters, { input: "x" });
  const list = page.getByRole("table", { name: "Runs" });
  await expect(list.locator("[data-status=waiting]")).toBeVisible();
  expect(streams.filter((from) => from.endsWith("/runs"))).toHaveLength(1);

  await page.getByRole("link", { name: "Home", exact: true }).click();
  await expect(page.getByRole("link", { name: "Decide: Letters" })).toBeVisible();
  await call(page, "POST", `/executions/${run}/approvals/ask`, { approved: true });
  await expect(page.getByRole("link", { name: "Decide: Letters" })).toBeHidden();
  await expect(list.locator("[data-status=success]")).toBeVisible();
});

test("a list without a connection says so, and comes back", async ({ page, context }) => {
  await enter(page);
  await createWorkflow(page, "Letters", asking());
  await page.goto("workflows");
  await expect(page.getByRole("link", { name: "Letters" })).toBeVisible();
  await context.setOffline(true);
  await page.getByLabel("Find a workflow").fill("Let");
  await expect(page.getByText("The server cannot be reached.").first()).toBeVisible({ timeout: 20_000 });
  await context.setOffline(false);
  await page.getByRole("button", { name: "Try again" }).first().click();
  await expect(page.getByRole("link", { name: "Letters" })).toBeVisible();
});

test("a template stays deleted when the tab is closed, and can be brought back before", async ({
  page,
  context,
}) => {
  await enter(page);
  await call(page, "POST", "/templates", { name: "Ask me first", category: "automation", ...asking() });
  const remove = async (tab: typeof page) => {
    await tab.goto("templates?own=true");
    await tab.getByRole("link", { name: "Ask me first" }).click();
    await tab.getByRole("button", { name: "Delete" }).click();
    await expect(tab.getByText("You have no templates yet")).toBeVisible();
  };
  await remove(page);
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(page.getByRole("link", { name: "Ask me first" })).toBeVisible();
  await remove(page);
  await page.close();
  const later = await context.newPage();
  await later.goto("templates?own=true");
  await expect(later.getByText("You have no templates yet")).toBeVisible();
});
