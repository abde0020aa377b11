/** The processes of the stack under test. */
import { readdirSync, readFileSync } from "node:fs";

import { expect } from "@playwright/test";

const CONSOLE_URL = process.env.CONSOLE_URL ?? "http://127.0.0.1:3000/console/";

/** The processes of the API: children of the stack's own process. */
function apiProcesses(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0)
    .filter((pid) => {
      try {
        const parent = / \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
        return (
          parent === process.env.STACK_PID && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("asgi:")
        );
      } catch {
        return false; // it has ended meanwhile
      }
    });
}

/** Kill the API as a crash would; the stack starts it again. Returns once it answers. */
export async function restartApi(): Promise<void> {
  const before = apiProcesses();
  expect(before, "the API of a stack that `make test-console` started").not.toEqual([]);
  for (const pid of before) process.kill(pid, "SIGKILL");
  await expect
    .poll(async () => (await fetch(new URL("../health/live", CONSOLE_URL)).catch(() => null))?.status, {
      timeout: 30_000,
    })
    .toBe(200);
}
