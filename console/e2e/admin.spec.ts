/** What administrators see and do; nobody else does. */
import { enter, newAccount } from "./support/accounts";
import { makeAdmin } from "./support/admin";
import { look } from "./support/looks";
import { expect, test } from "./support/test";

const TABS = ["Business", "Users", "Queues", "Dead letters", "Reconciliations", "Alerts", "Reports"];

test("every tab, and an audited adjustment", async ({ page }) => {
  test.slow(); // eight screens are looked at
  const account = await enter(page, newAccount("Grace Hopper"));
  await makeAdmin(account.email);
  await page.goto("admin");
  for (const tab of TABS) {
    await page.getByRole("tab", { name: tab, exact: true }).click();
    await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
    await look(page, `admin-${tab.toLowerCase().replace(" ", "-")}`);
    await page.setViewportSize({ width: 1280, height: 800 });
  }
  await page.getByRole("tab", { name: "Users", exact: true }).click();
  await page.getByLabel("Find").fill(account.email);
  await page.getByRole("link", { name: account.email }).click();
  await page.getByRole("button", { name: "Adjust credits" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Credits").fill("5");
  await dialog.getByLabel("Reason").fill("For the patience");
  await dialog.getByRole("button", { name: "Adjust" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByText("For the patience").first()).toBeVisible();
  await expect(page.getByText("15.00").first()).toBeVisible();
  await look(page, "admin-user");
});

test("others are told that it is not theirs", async ({ page }) => {
  await enter(page);
  await expect(page.getByRole("link", { name: "Admin" })).toHaveCount(0);
  await page.goto("admin");
  await expect(page.getByRole("alert").first()).toBeVisible();
});
