import { describe, expect, it } from "vitest";

import type { Schemas } from "@/api/client";
import type { Run } from "@/api/runs";

import { purchaseTasks, runTasks, subscriptionTasks } from "./waiting";

const run = (id: string, waitingFor: Run["waitingFor"]) =>
  ({ id, workflowName: "Letter", startTime: "2026-11-30T12:00:00Z", waitingFor }) as Run;
const purchase = (id: string, status: Schemas["Purchase"]["status"]) =>
  ({ id, status, credits: 100, createdAt: "2026-11-30T12:00:00Z" }) as Schemas["Purchase"];

describe("what waits for the person", () => {
  it("is what runs ask, the oldest first", () => {
    const runs = [
      run("new", { type: "approval", message: "Send it?" }),
      run("timer", { type: "timer", message: "Later." }),
      run("old", { type: "budget", message: "No credits." }),
      run("none", null),
    ];
    expect(runTasks(runs).map(({ id, kind, text }) => [id, kind, text])).toEqual([
      ["old", "budget", "No credits."],
      ["new", "approval", "Send it?"],
    ]);
  });

  it("is a payment that failed or that the bank asks about", () => {
    const purchases = [purchase("a", "succeeded"), purchase("b", "failed"), purchase("c", "requires_action")];
    expect(purchaseTasks(purchases).map(({ id }) => id)).toEqual(["b", "c"]);
  });

  it("is a subscription that is not paid", () => {
    const current = { tier: "premium", pastDueSince: null } as Schemas["Current"];
    expect(subscriptionTasks(current)).toEqual([]);
    expect(subscriptionTasks({ ...current, pastDueSince: "2026-11-30T12:00:00Z" })).toHaveLength(1);
  });
});
