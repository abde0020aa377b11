/** Accounts of the stack under test, made as a user makes them. */
import { randomUUID } from "node:crypto";

import { expect, type Page } from "@playwright/test";

import { linkMailedTo } from "./mail";

export interface Account {
  name: string;
  email: string;
  password: string;
}

// Without letters and digits that an address of random ones could contain: a password must not contain parts of it.
const PASSWORD = "plum wolf juggling vinyl";

export function newAccount(name = "Ada Lovelace"): Account {
  return { name, email: `e2e-${randomUUID()}@example.com`, password: PASSWORD };
}

/** Sign up in the browser; ends on the home screen. */
export async function signUp(page: Page, account: Account): Promise<void> {
  await page.goto("sign-up");
  await page.getByLabel("Name").fill(account.name);
  await page.getByLabel("E-mail").fill(account.email);
  await page.getByLabel("Password", { exact: true }).fill(account.password);
  await page.getByRole("button", { name: "Create account" }).click();
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();
}

export async function signIn(page: Page, { email, password }: Account): Promise<void> {
  await page.getByRole("textbox", { name: "E-mail" }).fill(email);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Sign up quickly and verify the address by the caught mail; for journeys that are about something else. */
export async function enter(page: Page, account = newAccount()): Promise<Account> {
  const registered = await page.request.post("../api/auth/register", {
    data: { ...account, session: "cookie" },
  });
  expect(registered.status()).toBe(201);
  const token = new URL(await linkMailedTo(account.email, "/verify#")).hash.slice(1);
  const verified = await page.request.post("../api/auth/verify", { data: { token } });
  expect(verified.status()).toBe(200);
  await page.goto("./");
  return account;
}
