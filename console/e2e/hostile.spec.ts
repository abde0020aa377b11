/** Scripts in everything that users can write are shown as text. */
import { enter } from "./support/accounts";
import { asking, call, createWorkflow, looping, runReaches, startRun } from "./support/api";
import { expect, test } from "./support/test";

const SCRIPT = "<script>window.hacked = 1</script>";
const IMAGE = '<img src="x" onerror="window.hacked = 1">';

test("scripts in names, outputs, tags and lines of the log are text", async ({ page }) => {
  const account = await enter(page, {
    name: `Ada ${IMAGE}`,
    email: newAddress(),
    password: "long enough 42",
  });
  expect(account.name).toContain("img");
  const graph = looping(`Each ${SCRIPT}`);
  await call(page, "POST", "/templates", {
    name: `T ${SCRIPT}`,
    category: "<b>data</b>",
    description: IMAGE,
    ...graph,
  });
  const workflow = await createWorkflow(page, `W ${SCRIPT}`, graph, { description: IMAGE });
  const run = await startRun(page, workflow, { input: [IMAGE, SCRIPT], tags: ["<i>tag</i>"], maxCredits: 3 });
  const asked = await startRun(page, await createWorkflow(page, "Ask", asking(SCRIPT)), {
    input: IMAGE,
    maxCredits: 2,
  });
  await runReaches(page, run, "success", "failed", "waiting");
  await runReaches(page, asked, "waiting");

  const seen: [string, string][] = [
    ["./", SCRIPT],
    ["workflows", IMAGE],
    ["templates", IMAGE],
    ["runs", "<i>tag</i>"],
    [`runs/${run}`, SCRIPT],
    [`runs/${run}?tab=log`, SCRIPT],
    [`runs/${run}?tab=data`, IMAGE],
    [`runs/${run}?tab=receipt`, SCRIPT],
    [`runs/${asked}`, IMAGE],
  ];
  for (const [path, text] of seen) {
    await page.goto(path);
    await expect(page.getByRole("main").getByText(text).first(), path).toBeVisible();
    expect(await page.evaluate(() => "hacked" in window), path).toBe(false);
  }
});

function newAddress(): string {
  return `e2e-${crypto.randomUUID()}@example.com`;
}
