/**
 * How many frames a second the largest screens draw: a graph of 174 nodes while one is dragged, and a log of 10,000 lines
 * while it scrolls.
 *
 * It measures, because frames depend on the machine: `MEASURE=1 make test-console ARGS="e2e/frames.spec.ts --workers=1"`.
 * The processor time of a frame tells a busy machine from a slow page: at 50 frames a second it is less than 20 ms.
 */
import type { Page } from "@playwright/test";

import { enter } from "./support/accounts";
import { large, newWorkflow, pasteGraph } from "./support/builder";
import { expect, test } from "./support/test";
import { saveWorkflow, startRun } from "./support/workflows";

const STEPS = 120;
const LINES = 10_000;
const PAGE = 1000; // of the log, as the console asks for it

test.skip(!process.env.MEASURE, "measures, and asserts nothing about times");
test.setTimeout(240_000);

/** Do something step by step, one step in each frame; prints how often the page drew and what that took. */
async function measure(page: Page, name: string, step: (index: number) => Promise<void>) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const taken = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    const of = (what: string) => (metrics.find((metric) => metric.name === what)?.value ?? 0) * 1000;
    return [of("TaskDuration"), of("ScriptDuration"), of("RecalcStyleDuration"), of("LayoutDuration")];
  };
  await page.evaluate(() => {
    const times: number[] = [];
    const draw = (time: number) => {
      times.push(time);
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
    Object.assign(window, { frameTimes: times });
  });
  const before = await taken();
  for (let index = 0; index < STEPS; index += 1) await step(index);
  const after = await taken();
  const times = await page.evaluate(() => (window as unknown as { frameTimes: number[] }).frameTimes);
  const frames = times.length - 1;
  const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000;
  const [all, script, style, layout] = after.map((ms, index) => (ms - (before[index] ?? 0)) / frames);
  console.log(
    `${name}: ${Math.round(frames / seconds)} frames a second; ${all?.toFixed(1)} ms of processor time for a frame ` +
      `(scripts ${script?.toFixed(1)}, styles ${style?.toFixed(1)}, layout ${layout?.toFixed(1)}), ${frames} frames`,
  );
}

test("dragging a node of 174", async ({ page }) => {
  await enter(page);
  await page.goto(`workflows/${await newWorkflow(page, "Large")}`);
  await pasteGraph(page, large(174));
  await expect(page.locator(".react-flow__node")).toHaveCount(174);
  const box = await page.locator(`.react-flow__node[data-id="n6"]`).boundingBox();
  if (!box) throw new Error("The node is visible.");
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  await measure(page, "dragging one of 174 nodes", (index) =>
    page.mouse.move(x + 60 * Math.sin(index / 8), y + 40 * Math.sin(index / 5)),
  );
  await page.mouse.up();
});

test("scrolling a log of 10,000 lines", async ({ page }) => {
  await enter(page);
  const workflowId = await saveWorkflow(page, {
    name: "Talks",
    nodes: [
      {
        id: "say",
        type: "process",
        config: { operation: "transform", expression: "input" },
        position: { x: 0, y: 0 },
      },
    ],
    connections: [],
  });
  const runId = await startRun(page, workflowId, "Hello");
  // A run of so many lines would take minutes; how they are drawn is the question here.
  let line: object | undefined;
  await page.route("**/executions/*/logs*", async (route) => {
    const response = await route.fetch();
    const { logs } = (await response.json()) as { logs: object[] };
    const after = Number(new URL(route.request().url()).searchParams.get("after"));
    const count = Math.min(PAGE, LINES - after);
    const more = Array.from({ length: count }, (_, index) => ({
      ...(logs[0] ?? line),
      seq: after + index + 1,
    }));
    line ??= logs[0];
    await route.fulfill({ response, json: { logs: more } });
  });
  await page.goto(`runs/${runId}`);
  await page.getByRole("tab", { name: "Log" }).click();
  const list = page.getByRole("tabpanel");
  await expect(list).toContainText("10,000 lines", { timeout: 60_000 });
  await page.mouse.move(600, 600);
  await measure(page, "scrolling 10,000 lines", () => page.mouse.wheel(0, 240));
});
