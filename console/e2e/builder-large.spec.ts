/** Editing a large graph draws no more than what is edited. */
import { enter } from "./support/accounts";
import { large, newWorkflow, pasteGraph } from "./support/builder";
import { expect, test } from "./support/test";

test("draws nothing but the dragged node of 174", async ({ page }) => {
  test.slow();
  await enter(page);
  await page.goto(`workflows/${await newWorkflow(page, "Large")}`);
  await pasteGraph(page, large(174));
  await expect(page.locator(".react-flow__node")).toHaveCount(174);
  await page.evaluate(() => {
    const changed = new Set<string>();
    const observer = new MutationObserver((records) => {
      for (const { target } of records) {
        const element = target instanceof Element ? target : target.parentElement;
        changed.add(element?.closest<HTMLElement>(".react-flow__node")?.dataset.id ?? "");
      }
    });
    const nodes = document.querySelector(".react-flow__nodes");
    if (nodes)
      observer.observe(nodes, { subtree: true, childList: true, attributes: true, characterData: true });
    Object.assign(window, { changed });
  });
  const box = await page.locator(`.react-flow__node[data-id="n6"]`).boundingBox();
  if (!box) throw new Error("The node is visible.");
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + 60, box.y + 40, { steps: 5 });
  const changed = await page.evaluate(() => [...(window as unknown as { changed: Set<string> }).changed]);
  await page.mouse.up();
  expect(changed).toEqual(["n6"]);
});
