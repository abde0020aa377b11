/**
 * How long the first screens take on a slow network, with an empty cache and with a full one.
 *
 * It measures, and asserts only that the screen appears, because times depend on the machine: `MEASURE=1 make
 * test-console ARGS="e2e/fast-3g.spec.ts --workers=1"` prints them. When the script is there and the processor time of the
 * page tell a busy machine from a slow page. e2e/first-load.spec.ts holds the bytes and requests.
 */
import type { Browser, BrowserContext, Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { expect, test } from "./support/test";

// The profile "Fast 3G" of Chrome's DevTools (now called "Slow 4G"): 1.6 Mbit/s, 750 kbit/s and 150 ms, which DevTools
// multiplies, because it delays requests and not packets. PROFILE=network takes the numbers as they are, as WebPageTest's
// "3G Fast" does.
const AS_DEVTOOLS = process.env.PROFILE !== "network";
const LATENCY_MS = AS_DEVTOOLS ? 150 * 3.75 : 150;
const PART = AS_DEVTOOLS ? 0.9 : 1;
const DOWN_BYTES_PER_SECOND = ((1.6 * 1000 * 1000) / 8) * PART;
const UP_BYTES_PER_SECOND = ((750 * 1000) / 8) * PART;
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const PATIENCE = { timeout: 30_000 };

test.skip(!process.env.MEASURE, "measures, and asserts nothing about times");
test.setTimeout(240_000);

type State = Awaited<ReturnType<BrowserContext["storageState"]>>;
type Usable = (page: Page) => Promise<void>;
interface Times {
  paint: number;
  usable: number;
  loaded: number;
  kb: number;
  processor: number;
}

/** Open a screen in a new tab; returns when it is painted, has its scripts and can be used (ms), and what that took. */
async function open(context: BrowserContext, address: string, usable: Usable): Promise<Times> {
  const page = await context.newPage();
  const network = await context.newCDPSession(page);
  await network.send("Network.enable");
  await network.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: LATENCY_MS,
    downloadThroughput: DOWN_BYTES_PER_SECOND,
    uploadThroughput: UP_BYTES_PER_SECOND,
  });
  await network.send("Performance.enable", { timeDomain: "threadTicks" }); // not what other programs take
  let bytes = 0;
  network.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  const began = performance.now();
  await page.goto(address, { waitUntil: "commit" });
  await usable(page);
  const taken = performance.now() - began;
  const { metrics } = await network.send("Performance.getMetrics");
  const processor = (metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0) * 1000;
  const { paint, loaded } = await page.evaluate(() => {
    const resources = performance.getEntriesByType("resource") as PerformanceResourceTiming[];
    const script = resources.find(({ name }) => /assets\/index-.*\.js$/.test(name));
    const first = performance.getEntriesByName("first-contentful-paint")[0];
    return { paint: first?.startTime ?? 0, loaded: script?.responseEnd ?? 0 };
  });
  if (process.env.MEASURE === "requests") {
    console.table(
      await page.evaluate(() =>
        performance
          .getEntriesByType("resource")
          .map((entry) => entry as PerformanceResourceTiming)
          .map(({ name, startTime, requestStart, responseEnd, encodedBodySize }) => ({
            name: new URL(name).pathname.split("/").slice(-2).join("/"),
            from: Math.round(startTime),
            asked: Math.round(requestStart),
            to: Math.round(responseEnd),
            kb: Math.round(encodedBodySize / 102.4) / 10,
          })),
      ),
    );
  }
  await page.close();
  return { paint, loaded, usable: taken, kb: bytes / 1024, processor };
}

const median = (values: number[]) => Math.round(values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0);

function print(name: string, rounds: Times[]) {
  const of = (what: keyof Times) => median(rounds.map((times) => times[what]));
  const all = rounds.map(({ usable }) => Math.round(usable)).toSorted((a, b) => a - b);
  console.log(
    `${name}: painted after ${of("paint")} ms, script there after ${of("loaded")} ms, ` +
      `usable after ${of("usable")} ms (${all.join(", ")}); ` +
      `${of("kb")} KB until then, ${of("processor")} ms of the page's processor time`,
  );
}

async function measure(name: string, browser: Browser, address: string, state: State, usable: Usable) {
  const cold: Times[] = [];
  const warm: Times[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const context = await browser.newContext({ storageState: state });
    cold.push(await open(context, address, usable));
    warm.push(await open(context, address, usable));
    await context.close();
  }
  print(`${name}, empty cache`, cold);
  print(`${name}, full cache`, warm);
}

test("the sign-in on Fast 3G", async ({ browser, baseURL }) => {
  const nobody = { cookies: [], origins: [] };
  await measure("sign-in", browser, `${baseURL}sign-in`, nobody, async (page) => {
    await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible(PATIENCE);
    await expect(page.getByRole("button", { name: "Sign in", exact: true })).toBeEnabled(PATIENCE);
  });
});

test("the home screen on Fast 3G", async ({ browser, baseURL, page }) => {
  await enter(page);
  const state = await page.context().storageState();
  await measure("home", browser, `${baseURL}`, state, async (opened) => {
    await expect(opened.getByRole("heading", { level: 1 })).toBeVisible(PATIENCE);
    await expect(opened.getByText("Credits available")).toBeVisible(PATIENCE);
    await expect(opened.getByText("No runs yet")).toBeVisible(PATIENCE);
  });
});
