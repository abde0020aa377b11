/** What is mailed: chosen in the settings, and stopped by a link in a mail without signing in. */
import { enter } from "./support/accounts";
import { asking, createWorkflow, runReaches, startRun } from "./support/api";
import { linkMailedTo } from "./support/mail";
import { expect, test } from "./support/test";

test("notifications are turned off by topic, and what must stay on says why", async ({ page }) => {
  await enter(page);
  await page.goto("settings");
  const mail = page.getByRole("switch", { name: "Credits are running low: E-mail" });
  const push = page.getByRole("switch", { name: "Credits are running low: Phone" });
  await expect(mail).toBeChecked();
  const saved = page.waitForResponse((response) => response.request().method() === "PUT");
  await mail.press("Space");
  expect((await saved).status()).toBe(200);
  await page.reload();
  await expect(mail).not.toBeChecked();
  await expect(push).toBeChecked();
  const security = page.getByRole("switch", { name: "Security of the account: E-mail" });
  await expect(security).toBeDisabled();
  await expect(security).toHaveAccessibleDescription(/Always on/);
});

test("a mail is stopped by its link, by somebody who is not signed in", async ({ page, browser }) => {
  const account = await enter(page);
  const run = await startRun(page, await createWorkflow(page, "Letters", asking()), { input: "x" });
  await runReaches(page, run, "waiting");
  const link = await linkMailedTo(account.email, "/unsubscribe#");

  const elsewhere = await browser.newPage();
  await elsewhere.goto(link);
  await expect(elsewhere.getByRole("button", { name: "Stop such mails" })).toBeVisible();
  await page.goto("settings");
  const mail = page.getByRole("switch", { name: "A run waits for an approval: E-mail" });
  await expect(mail).toBeChecked();
  await elsewhere.getByRole("button", { name: "Stop such mails" }).click();
  await expect(elsewhere.getByText("You will not get mails of this kind any more")).toBeVisible();
  await elsewhere.close();
  await page.reload();
  await expect(mail).not.toBeChecked();
});
