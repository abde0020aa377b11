import { describe, expect, it } from "vitest";

import type { Run } from "@/api/runs";

import { outcomesWord, outcomeOf, successWord } from "./outcomes";

const runs = (...statuses: Run["status"][]) => statuses.map((status) => ({ status }));

describe("outcomes", () => {
  it("counts what has not ended as open", () => {
    expect(runs("queued", "running", "waiting", "cancelling").map(outcomeOf)).toEqual(Array(4).fill("open"));
  });

  it("judges runs that ended by themselves", () => {
    expect(successWord(runs("success", "failed", "cancelled", "running", "success"))).toBe(
      "2 of 3 succeeded",
    );
    expect(successWord(runs("running", "cancelled"))).toBe("none ended yet");
  });

  it("says all of them", () => {
    expect(outcomesWord(runs("success", "success", "failed", "waiting"))).toBe(
      "Last 4 runs: 2 succeeded, 1 failed, 1 under way",
    );
    expect(outcomesWord(runs("cancelled"))).toBe("Last run: 1 cancelled");
  });
});
