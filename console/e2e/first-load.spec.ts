/**
 * The first screens need nothing but what their page asks for at once, and little of it.
 *
 * On a slow network each step of a chain costs more than half a second, and each 18 KB a tenth: so there is one step
 * after the page, and bytes and requests are counted here. e2e/fast-3g.spec.ts measures the times.
 */
import type { Browser, BrowserContext, Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { expect, test } from "./support/test";

type State = Awaited<ReturnType<BrowserContext["storageState"]>>;
interface First {
  screens: Record<string, string[]>;
  requests: Record<string, string[]>;
}

/** The addresses that a page asks for itself, before a script of the console runs. */
async function askedAtOnce(page: Page, address: string, screen: string): Promise<Set<string>> {
  const html = await (await page.request.get(address)).text();
  const base = new URL(/<base href="([^"]+)"/.exec(html)?.[1] ?? "", address);
  const entry = [...html.matchAll(/<(?:script type="module"|link rel="modulepreload")[^>]*"\.\/([^"]+)"/g)];
  const first = /data-first="([^"]+)"/.exec(html)?.[1]?.replaceAll("&quot;", '"') ?? "";
  const { screens, requests } = JSON.parse(first.replaceAll("&amp;", "&")) as First;
  const timezone = await page.evaluate(() =>
    encodeURIComponent(new Intl.DateTimeFormat().resolvedOptions().timeZone),
  );
  const paths = [
    ...entry.map(([, file]) => file ?? ""),
    ...(screens[screen] ?? []),
    ...(requests[screen] ?? []).map((request) => `../api${request.replace("{timezone}", timezone)}`),
  ];
  return new Set([address, ...paths.map((path) => new URL(path, base).href)]);
}

/** Open a screen without anything else; returns the number of requests, and the KB of the page and of its files. */
async function open(
  browser: Browser,
  state: State,
  address: string,
  screen: string,
  usable: (page: Page) => Promise<void>,
) {
  const context = await browser.newContext({ storageState: state, serviceWorkers: "block" });
  const page = await context.newPage();
  const allowed = await askedAtOnce(page, address, screen);
  const came = new Map<string, number>();
  await page.route("**/*", (route) =>
    allowed.has(route.request().url()) ? route.continue() : route.abort(),
  );
  page.on("response", (response) => {
    came.set(response.url(), Number(response.headers()["content-length"] ?? 0) / 1024);
  });
  await page.goto(address);
  await usable(page);
  await context.close();
  const files = [...came].filter(([url]) => !url.includes("/api/"));
  return { requests: came.size, kb: files.reduce((sum, [, kb]) => sum + kb, 0) };
}

test("the sign-in comes in two steps and few bytes", async ({ browser, baseURL }) => {
  const nobody = { cookies: [], origins: [] };
  const { requests, kb } = await open(browser, nobody, `${baseURL}sign-in`, "sign-in", async (page) => {
    await page.getByLabel("E-mail").fill("me@example.com");
    await page.getByLabel("Password", { exact: true }).fill("long enough");
    await expect(page.getByRole("button", { name: "Sign in", exact: true })).toBeEnabled();
  });
  expect(requests).toBeLessThanOrEqual(6);
  expect(kb).toBeLessThanOrEqual(150);
});

test("the home screen comes in two steps and few bytes", async ({ browser, baseURL, page }) => {
  await enter(page);
  const state = await page.context().storageState();
  const { requests, kb } = await open(browser, state, baseURL ?? "", "home", async (opened) => {
    await expect(opened.getByText("Credits available")).toBeVisible();
    await expect(opened.getByText("No runs yet")).toBeVisible();
    await expect(opened.getByRole("navigation", { name: "Main" })).toBeVisible();
  });
  expect(requests).toBeLessThanOrEqual(13);
  expect(kb).toBeLessThanOrEqual(135);
});
