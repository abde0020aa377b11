/** Keys and the account: what is shown once, what asks for the second factor, and the end of it all. */
import { createHmac } from "node:crypto";

import { enter, signIn } from "./support/accounts";
import { look } from "./support/looks";
import { expect, test } from "./support/test";

/** The code of an authenticator app (RFC 6238) for a secret in base32, so many steps of 30 seconds from now. */
function codeOf(secret: string, step = 0): string {
  const bits = (secret.match(/[A-Z2-7]/g) ?? []).map((letter) =>
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0"),
  );
  const bytes = (bits.join("").match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + step));
  const digest = createHmac("sha1", Buffer.from(bytes)).update(counter).digest();
  const offset = (digest.at(-1) ?? 0) & 15;
  return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

test("an access key is made, shown once, used and revoked", async ({ page, request }) => {
  await enter(page);
  await page.goto("keys");
  await page.getByRole("button", { name: "New access key" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("My script");
  await dialog.getByRole("button", { name: "Create" }).click();
  const key = await dialog.getByLabel("Access key", { exact: true }).innerText();
  expect(key).toMatch(/^oc-[A-Za-z0-9]{32}$/);
  const headers = { Authorization: `Bearer ${key}` };
  expect((await request.get("../api/workflows", { headers })).status()).toBe(200);
  await dialog.getByRole("button", { name: "I have it" }).click();
  await expect(page.getByText(key)).toBeHidden();
  await page.getByRole("button", { name: "Revoke My script" }).click();
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await expect(page.getByText("No access keys")).toBeVisible();
  expect((await request.get("../api/workflows", { headers })).status()).toBe(401);
});

test("a provider key is stored, tested live and deleted", async ({ page }) => {
  await enter(page);
  await page.goto("keys");
  await page.getByRole("button", { name: "Add a key of OpenAI" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Key").fill("sk-e2e-0123456789abcdef");
  await dialog.getByRole("button", { name: "Store and test" }).click();
  await expect(page.getByText("…cdef")).toBeVisible();
  await expect(page.locator("[data-status=valid], [data-status=invalid]")).toBeVisible({ timeout: 20_000 });
  await look(page, "keys-stored");
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByRole("button", { name: "Delete the key of OpenAI" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("…cdef")).toBeHidden();
});

test("the second factor is turned on, and asked at sign-in", async ({ page }) => {
  const account = await enter(page);
  await page.goto("settings");
  await page.getByRole("button", { name: "Turn on" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Your password").fill(account.password);
  await dialog.getByRole("button", { name: "Continue" }).click();
  const secret = await dialog.getByLabel("Secret", { exact: true }).innerText();
  await dialog.getByLabel("Code").fill(codeOf(secret));
  await dialog.getByRole("button", { name: "Confirm" }).click();
  await expect(dialog.getByRole("heading", { name: "Your recovery codes" })).toBeVisible();
  await dialog.getByRole("button", { name: "I have them" }).click();
  await expect(page.getByText("recovery codes left")).toBeVisible();

  await page.getByRole("button", { name: "Sign out" }).first().click();
  await signIn(page, account);
  await page.getByLabel("Code").fill(codeOf(secret, 1));
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();
});

test("the account is deleted, and its password is worth nothing", async ({ page }) => {
  const account = await enter(page);
  await page.goto("settings");
  await page.getByRole("button", { name: "Delete my account" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Your e-mail address").fill(account.email);
  await dialog.getByLabel("Your password").fill(account.password);
  await dialog.getByRole("button", { name: "Delete everything" }).click();
  await expect(page).toHaveURL(/sign-in/);
  await signIn(page, account);
  await expect(page.getByRole("alert")).toBeVisible();
});
