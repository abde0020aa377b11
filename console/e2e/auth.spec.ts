/** Signing up, in and out, with the mails that belong to it. */
import { enter, newAccount, signIn, signUp } from "./support/accounts";
import { linkMailedTo } from "./support/mail";
import { expect, test } from "./support/test";

test("sign up, verify by the mailed link, and get the welcome credits", async ({ page, context }) => {
  const account = newAccount();
  await signUp(page, account);
  await expect(page.getByText(`Follow the link that we mailed to ${account.email}`)).toBeVisible();
  await page.evaluate(() => document.body.setAttribute("data-same-page", ""));
  await page.waitForResponse((answer) => answer.url().endsWith("/auth/me") && answer.ok()); // asked now and then
  await expect(page.locator("body[data-same-page]")).toBeVisible();

  const mailed = await context.newPage();
  await mailed.goto(await linkMailedTo(account.email, "/verify#"));
  await mailed.getByRole("button", { name: "Verify" }).click();
  await expect(mailed.getByRole("main").getByRole("status")).toContainText(/verified/);

  await expect(page.getByText(`Follow the link that we mailed to`)).toBeHidden();
});

test("no script of the page can read the session, and no change goes without the CSRF token", async ({
  page,
}) => {
  await enter(page);
  const readable = await page.evaluate(() =>
    JSON.stringify([document.cookie, Object.entries(localStorage), Object.entries(sessionStorage)]),
  );
  expect(readable).not.toContain("agentforge_session");
  const status = await page.evaluate(async () => {
    const response = await fetch("../api/auth/sessions", { method: "DELETE" });
    return response.status;
  });
  expect(status).toBe(403);
});

test("errors stand at their fields", async ({ page }) => {
  const taken = await enter(page);
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();

  await signIn(page, { ...taken, password: "not this one" });
  await expect(page.getByRole("alert")).toBeVisible();

  await page.getByRole("link", { name: "Create an account" }).click();
  await page.getByLabel("Name").fill("Somebody");
  await page.getByLabel("E-mail").fill(taken.email);
  await page.getByLabel("Password", { exact: true }).fill("short");
  await page.getByRole("button", { name: "Create account" }).click();
  await expect(page.getByLabel("Password", { exact: true })).toHaveAccessibleDescription(
    /at least 8 characters/i,
  );
  await page.getByLabel("Password", { exact: true }).fill("long enough for anybody");
  await page.getByRole("button", { name: "Create account" }).click();
  await expect(page.getByLabel("E-mail")).toHaveAttribute("aria-invalid", "true");
});

test("after signing in the screen that was asked for appears", async ({ page }) => {
  const account = await enter(page);
  await page.goto("about:blank"); // or a request of the open screen would be refused, and lead to the sign-in too
  await page.context().clearCookies();
  await page.goto("runs");
  await signIn(page, account);
  await expect(page.getByRole("heading", { level: 1, name: "Runs" })).toBeVisible();
});

test("a forgotten password is replaced by the mailed link", async ({ page }) => {
  const account = await enter(page);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("link", { name: "Forgotten password?" }).click();
  await page.getByLabel("E-mail").fill(account.email);
  await page.getByRole("button", { name: "Mail me a link" }).click();
  await expect(page.getByRole("status").filter({ hasText: "Look into your mail" })).toBeVisible();

  const changed = { ...account, password: "a new one for this test" };
  await page.goto(await linkMailedTo(account.email, "/reset-password#"));
  await page.getByLabel("New password", { exact: true }).fill(changed.password);
  await page.getByRole("button", { name: "Set password" }).click();
  await page.getByRole("link", { name: "Sign in" }).click();
  await signIn(page, changed);
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();
});
