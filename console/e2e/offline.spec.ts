/** Without a connection the console says so, and shows nothing old as if it were new. */
import { enter } from "./support/accounts";
import { expect, test } from "./support/test";

test("an open screen and a new one say that there is no connection", async ({ page, context }) => {
  await enter(page);
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  await context.setOffline(true);
  await expect(page.getByText("You are offline.")).toBeVisible();
  await page.reload();
  await expect(page.getByRole("heading", { name: "You are offline" })).toBeVisible();
  await context.setOffline(false);
  await page.getByRole("link", { name: "Try again" }).click();
  await expect(page.getByRole("navigation", { name: "Main" })).toBeVisible();
});

test("the console can be installed", async ({ page }) => {
  await page.goto("sign-in");
  const href = await page.locator('link[rel="manifest"]').getAttribute("href");
  const address = new URL(href ?? "", await page.evaluate(() => document.baseURI)).href;
  const manifest = (await (await page.request.get(address)).json()) as {
    start_url: string;
    icons: { src: string; sizes: string }[];
  };
  expect(new URL(manifest.start_url, address).pathname).toBe("/console/");
  for (const icon of manifest.icons) {
    const response = await page.request.get(new URL(icon.src, address).href);
    expect(response.status(), icon.src).toBe(200);
  }
});
