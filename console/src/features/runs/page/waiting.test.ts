import { describe, expect, it } from "vitest";

import { iterationName, waitingOf } from "./waiting";

describe("waitingOf", () => {
  it("is null for a run that does not wait", () => {
    expect(waitingOf({ waitingFor: null })).toBeNull();
  });

  it("reads an approval", () => {
    const waitingFor = {
      type: "approval",
      message: "Send it?",
      nodeId: "ask",
      path: "2",
      until: "2026-12-01T00:00:00Z",
    };
    expect(waitingOf({ waitingFor })).toEqual({ ...waitingFor, children: [] });
  });

  it("reads the runs below that a person can help", () => {
    const child = {
      executionId: "c1",
      workflowName: "Child",
      status: "waiting",
      waitingFor: { message: "Send it?" },
    };
    const waiting = waitingOf({
      waitingFor: { type: "subworkflow", message: "Waits for a run.", runs: [child] },
    });
    expect(waiting?.children).toEqual([{ executionId: "c1", workflowName: "Child", message: "Send it?" }]);
  });

  it("does with what is missing", () => {
    expect(waitingOf({ waitingFor: {} })).toMatchObject({
      type: "unknown",
      path: "",
      until: null,
      children: [],
    });
  });
});

describe("iterationName", () => {
  it.each([
    ["", null],
    ["0", "Iteration 1"],
    ["3.0", "Iteration 4.1"],
  ])("names %s", (path, name) => {
    expect(iterationName(path)).toBe(name);
  });
});
