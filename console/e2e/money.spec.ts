/** Buying credits and plans: a card that pays, one that is declined, and one whose bank asks. */
import { type Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { look } from "./support/looks";
import { expect, test } from "./support/test";

const figure = (page: Page, label: string) => page.getByText(label, { exact: true }).locator("..");

async function buy(page: Page, card: string) {
  await page.getByRole("button", { name: "Buy 100 credits for $9.99" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(card).check();
  await dialog.getByRole("button", { name: "Pay $9.99" }).click();
  return dialog;
}

test("a purchase with a card appears without a reload", async ({ page }) => {
  await enter(page);
  await page.goto("credits");
  await expect(figure(page, "Available")).toContainText("10.00");
  const dialog = await buy(page, "Test card that pays");
  await expect(dialog).toBeHidden({ timeout: 20_000 });
  await expect(figure(page, "Available")).toContainText("110.00");
  await expect(page.getByText("+100.00")).toBeVisible();
});

test("a declined card says so and charges nothing", async ({ page }) => {
  await enter(page);
  await page.goto("credits");
  const dialog = await buy(page, "Test card that is declined");
  await expect(dialog.getByRole("alert")).toContainText(/declined/i);
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await expect(figure(page, "Available")).toContainText("10.00");
});

test("a bank asks, and the purchase goes on when it has its answer", async ({ page }) => {
  await enter(page);
  await page.goto("credits");
  const dialog = await buy(page, "Test card whose bank asks you (3-D Secure)");
  const bank = page.waitForEvent("popup");
  await dialog.getByRole("link", { name: "Open the bank's page" }).click();
  await (await bank).getByRole("button", { name: "Approve" }).click();
  await expect(dialog).toBeHidden({ timeout: 20_000 });
  await expect(figure(page, "Available")).toContainText("110.00");
});

test("a plan is chosen, changed, cancelled and kept", async ({ page }) => {
  await enter(page);
  await page.goto("subscription");
  await page.getByRole("button", { name: "Choose Premium" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Test card that pays").check();
  await dialog.getByRole("button", { name: "Pay $9.99" }).click();
  await expect(dialog).toBeHidden({ timeout: 20_000 });
  await expect(page.getByRole("button", { name: "Change to Enterprise" })).toBeVisible();
  await look(page, "subscription-paid");
  await page.setViewportSize({ width: 1280, height: 800 });

  await page.getByRole("button", { name: "Change to Enterprise" }).click();
  await expect(dialog.getByText("Due now")).toBeVisible();
  await dialog.getByLabel("Visa ending in 4242").check();
  await dialog.getByRole("button", { name: "Change the plan" }).click();
  await expect(dialog).toBeHidden({ timeout: 20_000 });
  await expect(page.getByRole("button", { name: "Change to Premium" })).toBeVisible();

  await page.getByRole("button", { name: "Cancel the plan" }).click();
  await dialog.getByRole("button", { name: "Cancel the plan" }).click();
  await expect(page.getByText("Your plan ends")).toBeVisible();
  await page.getByRole("button", { name: "Keep the plan" }).click();
  await expect(page.getByText("Your plan ends")).toBeHidden();
  await expect(page.getByRole("link", { name: "PDF" }).first()).toBeVisible();
});
