/** What every screen has to pass: axe, and a picture in both themes and both sizes for people to look at. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import type { AxeResults } from "axe-core";
import { expect, type Page } from "@playwright/test";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCREENSHOTS = "../build/screenshots";
const SIZES = { desk: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const THEMES = ["light", "dark"] as const;
const CHECKED = new Set(["desk-light", "phone-dark"]); // each size and each theme once, because axe takes a second

/** What axe calls serious or critical; evaluated by the debugger, which no content security policy hinders. */
export async function seriousViolations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const results = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run: (options: object) => Promise<AxeResults> } };
    return axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
  });
  return results.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help} at ${node.target.join(" ")}`));
}

/** Check and photograph the screen that `page` shows, in both themes and sizes. */
export async function look(page: Page, name: string): Promise<void> {
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    for (const theme of THEMES) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await expect(page.locator("html")).toHaveAttribute("data-mantine-color-scheme", theme);
      await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
      await page.evaluate(
        () => new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted))),
      );
      await page.screenshot({ path: `${SCREENSHOTS}/${name}-${size}-${theme}.png`, animations: "disabled" });
      if (CHECKED.has(`${size}-${theme}`)) {
        expect.soft(await seriousViolations(page), `${name}, ${size}, ${theme}`).toEqual([]);
      }
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      expect.soft(width, `${name} is not wider than a ${size}`).toBeLessThanOrEqual(viewport.width);
    }
  }
}
