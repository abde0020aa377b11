import { describe, expect, it } from "vitest";

import type { Step } from "./timeline";
import { failedStep, reusable } from "./retry";

const step = (nodeId: string, status: Step["status"], credits: number) =>
  ({ nodeId, label: nodeId.toUpperCase(), status, credits }) as Step;
const nodes = [
  step("a", "success", 0.1),
  step("b", "success", 0.2),
  step("c", "failed", 1),
  step("d", "cancelled", 0),
];

describe("a retry", () => {
  it("reuses what succeeded, and adds its cost exactly", () => {
    expect(reusable({ nodes })).toEqual({ steps: 2, credits: "0.30" });
    expect(reusable({ nodes: [] })).toEqual({ steps: 0, credits: "0.00" });
  });

  it("goes on from the step that the error names, or from one that failed", () => {
    expect(failedStep({ nodes, errorDetails: { nodeId: "d" } })).toBe("D");
    expect(failedStep({ nodes, errorDetails: null })).toBe("C");
    expect(failedStep({ nodes: [], errorDetails: null })).toBeNull();
  });
});
