import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { keys } from "../keys";
import type { Run } from "../runs";
import { Changes, isTouched } from "./useLiveRuns";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const run = (id: string, status: Run["status"] = "running") => ({ id, status, workflowId: "w" }) as Run;

describe("Changes", () => {
  it("tells soon about what changed together, each run once and as it is last", () => {
    const told: string[][] = [];
    const changes = new Changes((runs) => told.push(runs.map(({ id, status }) => `${id} ${status}`)));
    changes.add(run("a"));
    changes.add(run("b"));
    changes.add(run("a", "success"));
    vi.advanceTimersByTime(299);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(told).toEqual([["a success", "b running"]]);
  });

  it("tells at most every three seconds, and forgets nothing", () => {
    const told: number[] = [];
    const changes = new Changes((runs) => told.push(runs.length));
    for (let step = 0; step < 100; step += 1) {
      changes.add(run(String(step)));
      vi.advanceTimersByTime(100);
    }
    vi.advanceTimersByTime(3000);
    expect(told).toHaveLength(5);
    expect(told.reduce((sum, count) => sum + count)).toBe(100);
  });

  it("tells nothing once it is stopped", () => {
    const tell = vi.fn();
    const changes = new Changes(tell);
    changes.add(run("a"));
    changes.stop();
    vi.advanceTimersByTime(60_000);
    expect(tell).not.toHaveBeenCalled();
  });
});

describe("isTouched", () => {
  const changed = new Set(["w"]);

  it("spares the lists of other workflows", () => {
    expect(isTouched(keys.runs.list(), changed)).toBe(true);
    expect(isTouched(keys.runs.list({ workflowId: "w" }), changed)).toBe(true);
    expect(isTouched(keys.runs.list({ workflowId: "v" }), changed)).toBe(false);
  });
});
