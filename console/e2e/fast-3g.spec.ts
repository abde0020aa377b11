/**
 * How long the first screens take on a slow network (DevTools' "Fast 3G"), with an empty cache.
 *
 * It measures, and asserts only that the screen appears, because times depend on the machine: `MEASURE=1 make
 * test-console ARGS="e2e/fast-3g.spec.ts --workers=1"` prints them.
 */
import type { Browser, BrowserContext, Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { expect, test } from "./support/test";

const LATENCY_MS = 562.5;
const BYTES_PER_SECOND = ((1.6 * 1024 * 1024) / 8) * 0.9;
const ROUNDS = 5;
const PATIENCE = { timeout: 30_000 };

test.skip(!process.env.MEASURE, "measures, and asserts nothing about times");
test.setTimeout(240_000);

type State = Awaited<ReturnType<BrowserContext["storageState"]>>;

/** Open a screen in a new context; returns the milliseconds until it can be used, and the bytes that came. */
async function open(browser: Browser, address: string, state: State, usable: (page: Page) => Promise<void>) {
  const context = await browser.newContext({ storageState: state });
  const page = await context.newPage();
  const network = await context.newCDPSession(page);
  await network.send("Network.enable");
  await network.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: LATENCY_MS,
    downloadThroughput: BYTES_PER_SECOND,
    uploadThroughput: BYTES_PER_SECOND / 2,
  });
  let bytes = 0;
  network.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  const began = performance.now();
  await page.goto(address, { waitUntil: "commit" });
  await usable(page);
  const taken = performance.now() - began;
  if (process.env.MEASURE === "requests") {
    const entries = await page.evaluate(() =>
      performance
        .getEntriesByType("resource")
        .map((entry) => entry as PerformanceResourceTiming)
        .map(({ name, startTime, responseEnd, encodedBodySize }) => ({
          name: new URL(name).pathname.split("/").slice(-2).join("/"),
          from: Math.round(startTime),
          to: Math.round(responseEnd),
          kb: Math.round(encodedBodySize / 1024),
        })),
    );
    console.table(entries);
  }
  await context.close();
  return { taken, bytes };
}

async function measure(
  browser: Browser,
  address: string,
  state: State,
  usable: (page: Page) => Promise<void>,
) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await open(browser, address, state, usable));
  const times = rounds.map(({ taken }) => Math.round(taken)).toSorted((a, b) => a - b);
  const kb = Math.round((rounds[0]?.bytes ?? 0) / 1024);
  return `median ${times[ROUNDS >> 1]} ms of ${times.join(", ")}; ${kb} KB until then`;
}

test("the sign-in on Fast 3G", async ({ browser, baseURL }) => {
  const nobody = { cookies: [], origins: [] };
  const result = await measure(browser, `${baseURL}sign-in`, nobody, async (page) => {
    await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible(PATIENCE);
    await expect(page.getByRole("button", { name: "Sign in", exact: true })).toBeEnabled(PATIENCE);
  });
  console.log(`sign-in: ${result}`);
});

test("the home screen on Fast 3G", async ({ browser, baseURL, page }) => {
  await enter(page);
  const state = await page.context().storageState();
  const result = await measure(browser, `${baseURL}`, state, async (opened) => {
    await expect(opened.getByRole("heading", { level: 1 })).toBeVisible(PATIENCE);
    await expect(opened.getByText("Credits available")).toBeVisible(PATIENCE);
    await expect(opened.getByText("No runs yet")).toBeVisible(PATIENCE);
  });
  console.log(`home: ${result}`);
});
