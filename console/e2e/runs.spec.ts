/** Watching a run, deciding what it asks, and reading what it cost. */
import type { Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { look } from "./support/looks";
import { restartApi } from "./support/stack";
import { expect, test } from "./support/test";
import { EXECUTION_TIMEOUT, post, QUESTION, saveWorkflow, startRun } from "./support/workflows";

async function openQuestion(page: Page): Promise<string> {
  await enter(page);
  const runId = await startRun(page, await saveWorkflow(page, QUESTION));
  await page.goto(`runs/${runId}`);
  await expect(page.getByRole("region", { name: "Approval" })).toBeVisible(EXECUTION_TIMEOUT);
  return runId;
}

async function expectState(page: Page, state: string): Promise<void> {
  await expect(page.locator(`[data-status="${state}"]`).first()).toBeVisible(EXECUTION_TIMEOUT);
}

for (const [size, viewport] of Object.entries({
  desk: { width: 1280, height: 800 },
  phone: { width: 390, height: 844 },
})) {
  test(`approve a run and read its receipt, on a ${size}`, async ({ page }) => {
    await page.setViewportSize(viewport);
    await openQuestion(page);
    await page.getByLabel("Comment").fill("Well written.");
    await page.getByRole("button", { name: "Approve" }).click();
    await expectState(page, "success");
    await page.getByRole("tab", { name: "Receipt" }).click();
    await expect(page.getByRole("table", { name: "Receipt" })).toContainText("May it go out?");
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Runs" }).click();
    await expect(page.getByRole("main").getByText("Publish the article")).toBeVisible();
  });
}

test("a watched run goes on live after the API was killed", { tag: "@alone" }, async ({ page }) => {
  const runId = await openQuestion(page);
  await restartApi();
  await post(page, `/executions/${runId}/approvals/ask`, { approved: false });
  await expectState(page, "success");
  await expect(page.getByText("Kept back").first()).toBeVisible();
});

test("screens of a run that waits and of one that is over", async ({ page }) => {
  await openQuestion(page);
  await look(page, "run-waiting");
  await page.getByRole("button", { name: "Approve" }).click();
  await expectState(page, "success");
  await look(page, "run");
  for (const tab of ["Log", "Data", "Receipt"]) {
    await page.getByRole("tab", { name: tab }).click();
    await look(page, `run-${tab.toLowerCase()}`);
  }
});
