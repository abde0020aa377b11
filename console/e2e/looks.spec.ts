/** The screens of runs, workflows and templates with something on them pass axe and fit a phone. */
import { enter } from "./support/accounts";
import { asking, createWorkflow, failing, looping, runReaches, startRun } from "./support/api";
import { look } from "./support/looks";
import { expect, test } from "./support/test";

test("screens with runs on them", async ({ page }) => {
  test.setTimeout(300_000); // ten screens are looked at
  await enter(page);
  const sums = await createWorkflow(page, "Invoice totals", looping(), {
    description: "Adds up an invoice.",
  });
  const report = await createWorkflow(page, "Currency report", failing());
  const letter = await createWorkflow(page, "Answer a letter", asking());
  const summed = await startRun(page, sums, { input: [3, 5, 8], maxCredits: 2, tags: ["night"] });
  const failed = await startRun(page, report, { input: { rates: null } });
  const asked = await startRun(page, letter, { input: "Dear Ada" });
  await runReaches(page, summed, "success");
  await runReaches(page, failed, "failed");
  await runReaches(page, asked, "waiting");

  const screens: [string, string][] = [
    ["full-home", "./"],
    ["full-workflows", "workflows"],
    ["full-runs", "runs"],
    ["run-waiting", `runs/${asked}`],
    ["run-failed", `runs/${failed}`],
    ["run-step", `runs/${summed}?step=line&path=%221%22`],
    ["run-log", `runs/${summed}?tab=log`],
    ["run-data", `runs/${summed}?tab=data`],
    ["run-receipt", `runs/${summed}?tab=receipt`],
  ];
  for (const [name, path] of screens) {
    await page.goto(path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.waitForLoadState("networkidle", { timeout: 3000 }).catch(() => undefined); // a stream stays open
    await look(page, name);
  }
  await page.goto("templates");
  await page.getByRole("link", { name: "Content analysis" }).click();
  await expect(page.getByRole("button", { name: "Use this template" })).toBeVisible();
  await look(page, "template");
});

test("dialogs", async ({ page }) => {
  await enter(page);
  await createWorkflow(page, "Answer a letter", asking());
  await page.goto("workflows");
  await page.getByRole("button", { name: "Run Answer a letter" }).click();
  await look(page, "run-dialog");
  await page.goto("templates");
  await page.getByRole("button", { name: "Publish a workflow" }).click();
  await look(page, "publish-dialog");
});
