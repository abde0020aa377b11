/** A graph is in view again after a phone was turned, and stays where a person moved it when a keyboard opens. */
import type { Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { call } from "./support/api";
import { newWorkflow, sample } from "./support/builder";
import { expect, test } from "./support/test";

const UPRIGHT = { width: 390, height: 844 };
const ACROSS = { width: 844, height: 390 };

const nodes = (page: Page) => page.locator(".react-flow__node");

async function allInView(page: Page) {
  for (const id of ["word", "loud", "long", "yes", "no"])
    await expect(page.locator(`.react-flow__node[data-id="${id}"]`)).toBeInViewport({ ratio: 0.9 });
}

test.use({ viewport: UPRIGHT, hasTouch: true, isMobile: true });

test("the builder shows the whole graph after each turn", async ({ page }) => {
  await enter(page);
  await page.goto(`workflows/${await newWorkflow(page, "Turning", sample())}`);
  await allInView(page);
  await page.setViewportSize(ACROSS);
  await allInView(page);
  await page.setViewportSize(UPRIGHT);
  await allInView(page);
});

test("a keyboard that opens moves nothing", async ({ page }) => {
  await enter(page);
  await page.goto(`workflows/${await newWorkflow(page, "Keyboard", sample())}`);
  await allInView(page);
  const zoom = () => page.locator(".react-flow__viewport").getAttribute("style");
  await page.locator(".react-flow__pane").hover({ position: { x: 40, y: 300 } });
  const before = await zoom();
  await page.mouse.wheel(0, -400);
  await expect.poll(zoom).not.toBe(before);
  const moved = await zoom();
  await page.setViewportSize({ width: 390, height: 500 });
  await page.setViewportSize(UPRIGHT);
  await page.evaluate(() => new Promise((done) => setTimeout(done, 400)));
  expect(await zoom()).toBe(moved);
});

test("a run shows the whole graph after a turn", async ({ page }) => {
  await enter(page);
  const id = await newWorkflow(page, "Turning run", sample());
  const run = await call<{ id: string }>(page, "POST", `/workflows/${id}/execute`, { input: "tea" });
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto(`runs/${run.id}`);
  await expect(nodes(page)).toHaveCount(5);
  await page.setViewportSize(UPRIGHT);
  await nodes(page).first().scrollIntoViewIfNeeded();
  await expect(nodes(page)).toHaveCount(5);
});
