/** Texts of users are texts: scripts in names, labels, inputs, outputs and logs never run. */
import { enter, newAccount } from "./support/accounts";
import { expect, test } from "./support/test";
import { EXECUTION_TIMEOUT, saveWorkflow, startRun } from "./support/workflows";

const SCRIPT = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`;

test("scripts in every text are shown as text", async ({ page }) => {
  const refused: string[] = [];
  page.on("console", (message) => {
    if (/content security policy/i.test(message.text())) refused.push(message.text());
  });
  await enter(page, newAccount(`Eve ${SCRIPT}`));
  await expect(page.getByRole("heading", { level: 1 })).toContainText("onerror");
  const workflowId = await saveWorkflow(page, {
    name: `Workflow ${SCRIPT}`,
    nodes: [
      {
        id: "say",
        type: "process",
        label: `Step ${SCRIPT}`,
        config: { operation: "transform", expression: `({said: input})` },
        position: { x: 0, y: 0 },
      },
    ],
    connections: [],
  });
  const runId = await startRun(page, workflowId, `Input ${SCRIPT}`);
  await page.goto(`runs/${runId}`);
  await expect(page.locator('[data-status="success"]').first()).toBeVisible(EXECUTION_TIMEOUT);
  for (const tab of ["Steps", "Log", "Data", "Receipt"]) {
    await page.getByRole("tab", { name: tab }).click();
    await expect(page.getByRole("tabpanel")).toContainText(/onerror/);
  }
  for (const screen of ["./", "runs", "workflows", `workflows/${workflowId}`]) {
    await page.goto(screen);
    await expect(page.getByText(/onerror/).first()).toBeVisible();
  }
  expect(await page.evaluate(() => "hacked" in window)).toBe(false);
  expect(refused).toEqual([]);
});
