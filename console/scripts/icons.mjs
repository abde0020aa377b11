// Draws the icons of public/icons from public/favicon.svg, in the Chromium of $CHROMIUM or of Debian.
import { mkdirSync, readFileSync } from "node:fs";

import { chromium } from "@playwright/test";

const target = new URL("../public/icons/", import.meta.url).pathname;
const svg = readFileSync(new URL("../public/favicon.svg", import.meta.url), "utf8");
const BACKGROUND = "#0f6670";
const ICONS = [
  { name: "icon-192", size: 192, share: 1 },
  { name: "icon-512", size: 512, share: 1 },
  { name: "maskable-512", size: 512, share: 0.8 }, // launchers cut off all but the middle
  { name: "apple-touch-180", size: 180, share: 1 },
];

mkdirSync(target, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
for (const { name, size, share } of ICONS) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  const fill = share < 1 || name.startsWith("apple") ? BACKGROUND : "transparent";
  await page.setContent(
    `<body style="margin:0;background:${fill};display:grid;place-items:center;height:100vh">
     <div style="width:${share * 100}%;line-height:0">${svg}</div>`,
  );
  await page.screenshot({ path: `${target}${name}.png`, omitBackground: true });
  await page.close();
}
await browser.close();
