/** Schedules of a workflow: adding, refusals, pausing, changing (in two tabs too), deleting and undoing; by keyboard too. */
import type { Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { asking, call, createWorkflow } from "./support/api";
import { look } from "./support/looks";
import { expect, test } from "./support/test";

const dialog = (page: Page) => page.getByRole("dialog", { name: "Schedules of “Letters”" });
const times = (page: Page) => page.getByRole("status", { name: "Next runs" });

async function open(page: Page): Promise<string> {
  await enter(page);
  const id = await createWorkflow(page, "Letters", asking());
  await page.goto("workflows");
  await page.getByRole("button", { name: "Add a schedule to Letters" }).click();
  await dialog(page).getByRole("button", { name: "Add a schedule" }).click();
  return id;
}

async function choose(page: Page, field: string, option: string) {
  await dialog(page).getByRole("combobox", { name: field }).click();
  await page.getByRole("option", { name: option, exact: true }).click();
}

test("a schedule is added, paused, changed, deleted and brought back", async ({ page }) => {
  test.slow();
  await open(page);
  await expect(times(page)).toContainText("At 07:00 every day");
  await expect(times(page).getByRole("listitem")).toHaveCount(5);
  await choose(page, "How often", "Monday to Friday");
  await dialog(page).getByLabel("At", { exact: true }).fill("18:30");
  await expect(times(page)).toContainText("At 18:30 on Monday through Friday");
  await look(page, "schedule-form");
  await dialog(page).getByRole("button", { name: "Add", exact: true }).click();
  await expect(dialog(page).getByText("This workflow needs it.")).toBeVisible();
  await dialog(page).getByRole("textbox", { name: "Letter" }).fill("Dear Ada");
  await dialog(page).getByRole("button", { name: "Add", exact: true }).click();

  const item = dialog(page).getByRole("list", { name: "Schedules" }).getByRole("listitem");
  await expect(item).toContainText("At 18:30 on Monday through Friday");
  await look(page, "schedules");
  await item.getByRole("switch").press("Space");
  await expect(item).toContainText("Paused.");
  await page.keyboard.press("Escape");
  const cell = page.getByRole("button", { name: "Schedules of Letters: At 18:30 on Monday through Friday" });
  await expect(cell).toContainText("Paused");

  await cell.press("Enter");
  await item.getByRole("button", { name: "Change" }).press("Enter");
  await expect(dialog(page).getByRole("textbox", { name: "Letter" })).toHaveValue("Dear Ada");
  await dialog(page).getByRole("textbox", { name: "Name", exact: true }).fill("Evening");
  await dialog(page).getByRole("button", { name: "Save" }).click();
  await expect(item).toContainText("Evening");
  await item.getByRole("button", { name: "Delete" }).click();
  await expect(dialog(page).getByText("No schedule yet")).toBeVisible();
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(item).toContainText("Evening");
});

test("what the plan does not allow is said before it is saved", async ({ page }) => {
  await open(page);
  await choose(page, "How often", "A cron expression");
  const cron = dialog(page).getByRole("textbox", { name: "Cron expression" });
  await cron.fill("* * * * *");
  await expect(times(page).getByRole("alert")).toContainText("15 minutes");
  await cron.fill("0 0 30 2 *");
  await expect(times(page).getByRole("alert")).toContainText("day of month");
  await cron.fill("*/15 * * * *");
  await expect(times(page)).toContainText("Every 15th minute of every hour");
});

test("a schedule that was made elsewhere is in the list of workflows", async ({ page }) => {
  await enter(page);
  const id = await createWorkflow(page, "Letters", asking());
  const settings = { cron: "0 9 1 * *", timeZone: "Asia/Tokyo", input: "x", enabled: true };
  await call(page, "POST", `/workflows/${id}/schedules`, settings);
  await page.goto("workflows");
  const cell = page.getByRole("button", { name: /^Schedules of Letters/ });
  await expect(cell).toContainText("At 09:00 on the first day of every month");
  await expect(cell).toContainText("(Asia/Tokyo)");
  await look(page, "workflows-with-schedule");
});

test("a schedule that was changed elsewhere while its form is open is not overwritten unseen", async ({
  page,
}) => {
  test.slow();
  await enter(page);
  const id = await createWorkflow(page, "Letters", asking());
  const path = `/workflows/${id}/schedules`;
  const settings = { cron: "0 7 * * *", timeZone: "Europe/Oslo", name: "Morning", input: "Dear Ada" };
  const added = await call<{ schedule: { id: string } }>(page, "POST", path, settings);
  const one = `${path}/${added.schedule.id}`;
  await page.goto("workflows");
  await page.getByRole("button", { name: /^Schedules of Letters/ }).click();
  await dialog(page).getByRole("button", { name: "Change" }).click();
  const name = dialog(page).getByRole("textbox", { name: "Name", exact: true });
  const save = dialog(page).getByRole("button", { name: "Save", exact: true });
  const conflict = dialog(page).getByRole("alert", { name: "This schedule was changed elsewhere" });

  await name.fill("Mine");
  await call(page, "PUT", one, { cron: "30 9 * * *", name: "Theirs", maxCredits: 12.5 });
  await save.press("Enter");
  await expect(conflict).toBeFocused();
  await expect(conflict.getByRole("listitem")).toHaveText([
    "another time: At 09:30 every day",
    "another name: Theirs",
    "another limit of its cost: 12.50 credits",
  ]);
  await look(page, "schedule-conflict");
  await conflict.getByRole("button", { name: "Show the stored one" }).click();
  await expect(name).toHaveValue("Theirs");
  await expect(dialog(page).getByLabel("At", { exact: true })).toHaveValue("09:30");
  await expect(conflict).toHaveCount(0);

  await name.fill("Mine");
  await call(page, "PUT", one, { input: "Dear Bob" });
  await save.click();
  await expect(conflict.getByRole("listitem")).toHaveText(["another input"]);
  await conflict.getByRole("button", { name: "Save mine" }).click();
  const item = dialog(page).getByRole("list", { name: "Schedules" }).getByRole("listitem");
  await expect(item).toContainText("Mine");
  const stored = { name: "Mine", cron: "30 9 * * *", input: "Dear Ada", maxCredits: 12.5 };
  expect((await call<{ schedule: object }>(page, "GET", one)).schedule).toMatchObject(stored);

  await item.getByRole("button", { name: "Change" }).click();
  await name.fill("Paused meanwhile");
  await call(page, "PUT", one, { enabled: false });
  await save.click();
  await expect(item).toContainText("Paused meanwhile");
  await expect(item.getByRole("switch")).not.toBeChecked();
});
