/** A run from a template to its receipt, and what a person does about runs. */
import type { Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { asking, call, createWorkflow, failing, looping, runReaches, startRun, waiting } from "./support/api";
import { restartApi } from "./support/stack";
import { expect, test } from "./support/test";

const state = (page: Page, status: string) =>
  page.getByRole("main").locator(`dl [data-status=${status}]`).first();

async function journey(page: Page) {
  await enter(page);
  await call(page, "POST", "/templates", { name: "Ask me first", category: "automation", ...asking() });
  await page.goto("templates");
  await page.getByText("My own").click();
  await page.getByRole("link", { name: "Ask me first" }).click();
  await page.getByLabel("Name of your workflow").fill("Letters of today");
  await page.getByRole("button", { name: "Use this template" }).click();
  await expect(page).toHaveURL(/\/workflows\/[0-9a-f-]{36}/);

  await page.goto("workflows");
  await page.getByRole("button", { name: "Run Letters of today" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Run", exact: true }).click();
  await expect(page.getByText("This workflow needs it.")).toBeVisible();
  await page.getByRole("textbox", { name: /^Letter/ }).fill("Dear Ada");
  await page.getByRole("dialog").getByRole("button", { name: "Run", exact: true }).click();

  await expect(page).toHaveURL(/\/runs\/[0-9a-f-]{36}/);
  await expect(page.getByText("Is this right: Dear Ada?").first()).toBeVisible();
  await page.getByLabel("Comment").fill("Well said");
  await page.getByRole("button", { name: "Approve" }).click();
  await expect(state(page, "success")).toBeVisible();

  await page.getByRole("tab", { name: "Data" }).click();
  await expect(page.getByText("Well said")).toBeVisible();
  await page.getByRole("tab", { name: "Receipt" }).click();
  const receipt = page.getByRole("table", { name: "Receipt" });
  await expect(receipt.getByRole("row", { name: /Total/ })).toContainText(/\d\.\d\d/);
  await page.getByRole("button", { name: "Show each charge" }).click();
  await expect(page.getByText("Letter").first()).toBeVisible();
}

test("template, name, run, watch, approve, receipt", async ({ page }) => journey(page));

test("the same on a phone", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await journey(page);
});

test("a run is rejected, and a comment goes along", async ({ page }) => {
  await enter(page);
  const run = await startRun(page, await createWorkflow(page, "Ask", asking()), { input: "x" });
  await page.goto(`runs/${run}`);
  await page.getByRole("button", { name: "Reject" }).click();
  await expect(page.getByRole("button", { name: "Reject" })).toBeHidden();
  await expect(state(page, "success")).toBeVisible();
});

test("the API restarts while a run is watched @alone", async ({ page }) => {
  await enter(page);
  const run = await startRun(page, await createWorkflow(page, "Patient", waiting(12)));
  await page.goto(`runs/${run}`);
  await expect(state(page, "waiting")).toBeVisible();
  await restartApi();
  await expect(state(page, "success")).toBeVisible({ timeout: 40_000 });
  await page.getByRole("tab", { name: "Log" }).click();
  await expect(page.getByRole("log").getByText("Pause", { exact: true }).first()).toBeVisible();
});

test("a hidden tab has no stream, and catches up when it is shown", async ({ page }) => {
  await enter(page);
  const run = await startRun(page, await createWorkflow(page, "Ask", asking()), { input: "x" });
  const streams: string[] = [];
  page.on("request", (request) => {
    if (request.url().includes(`${run}/events`)) streams.push(request.url());
  });
  await page.goto(`runs/${run}`);
  await expect(page.getByRole("button", { name: "Approve" })).toBeVisible();
  await expect.poll(() => streams.length).toBe(1);
  await show(page, "hidden");
  await call(page, "POST", `/executions/${run}/approvals/ask`, { approved: true });
  await runReaches(page, run, "success");
  expect(streams).toHaveLength(1);
  await show(page, "visible");
  await expect(state(page, "success")).toBeVisible();
  expect(streams.length).toBe(2);
  expect(new URL(streams[1] ?? "").searchParams.get("after")).not.toBe("0");
});

/** Let the page believe that its tab is hidden or shown. */
async function show(page: Page, visibility: "hidden" | "visible") {
  await page.evaluate((to) => {
    Object.defineProperty(document, "visibilityState", { value: to, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, visibility);
}

test("a failed run says why, and is retried from there", async ({ page }) => {
  await enter(page);
  const run = await startRun(page, await createWorkflow(page, "Report", failing()), {
    input: { rates: null },
  });
  await page.goto(`runs/${run}`);
  await expect(page.getByRole("alert").filter({ hasText: "This run failed" })).toContainText("rates");
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(page.getByText("A new run goes on from “Convert”.")).toBeVisible();
  await page.getByRole("dialog").getByRole("button", { name: "Retry" }).click();
  await expect(page).not.toHaveURL(new RegExp(run));
  await expect(page.getByRole("link", { name: "an earlier run" })).toBeVisible();
  await expect(page.getByText("1 finished step is reused")).toBeVisible();
});

test("a run without credits goes on with more of them", async ({ page }) => {
  await enter(page);
  const workflow = await createWorkflow(page, "Sums", looping());
  const run = await startRun(page, workflow, { input: [1, 2, 3], maxCredits: 1.1 });
  await page.goto(`runs/${run}`);
  await page.getByLabel("The most that this run may cost").fill("5");
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(state(page, "success")).toBeVisible();
  await page
    .getByRole("list", { name: "Steps" })
    .getByRole("button", { name: /^Line / })
    .click();
  await page.getByRole("button", { name: /Iteration 3/ }).click();
  await expect(page.getByRole("region", { name: "Output" })).toContainText("3");
});

test("a run is shown after its workflow was deleted", async ({ page }) => {
  await enter(page);
  const workflow = await createWorkflow(page, "Sums", looping());
  const run = await startRun(page, workflow, { input: [1, 2, 3], maxCredits: 5 });
  await runReaches(page, run, "success");
  await call(page, "DELETE", `/workflows/${workflow}`);
  await page.goto(`runs/${run}`);
  await expect(page.locator(".react-flow__node").first()).toBeVisible();
  await expect(page.getByText("There is no such workflow.")).toHaveCount(0);
});

test("a run is cancelled", async ({ page }) => {
  await enter(page);
  const run = await startRun(page, await createWorkflow(page, "Long", waiting(600)));
  await page.goto(`runs/${run}`);
  await page.getByRole("button", { name: "Cancel run" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel run" }).click();
  await expect(state(page, "cancelled")).toBeVisible();
});

test("a run is nobody's but its owner's", async ({ page, browser }) => {
  await enter(page);
  const run = await startRun(page, await createWorkflow(page, "Mine", asking()), { input: "secret words" });
  const stranger = await browser.newContext();
  const other = await stranger.newPage();
  await other.goto(new URL(`runs/${run}`, page.url()).href);
  await expect(other.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await stranger.close();
});
