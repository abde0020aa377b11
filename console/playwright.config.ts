/** Journeys through the real stack in a real Chromium: `make test-console` starts both. */
import { defineConfig } from "@playwright/test";

const consoleUrl = process.env.CONSOLE_URL ?? "http://127.0.0.1:3000/console/";

export default defineConfig({
  testDir: "e2e",
  outputDir: "../build/console/traces",
  fullyParallel: true,
  forbidOnly: Boolean(process.env.CI),
  retries: process.env.CI ? 1 : 0, // a journey that needs it is reported as flaky
  workers: 2,
  timeout: 90_000,
  expect: { timeout: 10_000 },
  projects: [
    { name: "journeys", grepInvert: /@alone/ },
    { name: "alone", grep: /@alone/, dependencies: ["journeys"], workers: 1 }, // what stops the API for everybody
  ],
  reporter: process.env.CI
    ? [["list"], ["html", { outputFolder: "../build/console/report", open: "never" }]]
    : [["list"]],
  use: {
    baseURL: consoleUrl,
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    timezoneId: "Europe/Oslo",
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox", // CI runs as root
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
