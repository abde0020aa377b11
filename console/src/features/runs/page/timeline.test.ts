import { describe, expect, it } from "vitest";

import { type Step, timelineOf } from "./timeline";

function step(
  nodeId: string,
  startedAt: string | null,
  finishedAt: string | null,
  parentId: string | null = null,
) {
  return { nodeId, id: nodeId, label: nodeId, parentId, startedAt, finishedAt } as Step;
}

const at = (second: number) => new Date(Date.UTC(2026, 10, 30, 12, 0, second)).toISOString();

describe("timelineOf", () => {
  it("places bars as parts of the whole run", () => {
    const nodes = [step("a", at(0), at(5)), step("b", at(5), at(10))];
    const rows = timelineOf({ nodes, startTime: at(0), endTime: at(10) }, new Date(at(59)));
    expect(rows.map(({ bar }) => bar)).toEqual([
      { start: 0, length: 0.5 },
      { start: 0.5, length: 0.5 },
    ]);
  });

  it("lets a step that is under way grow until now", () => {
    const rows = timelineOf(
      { nodes: [step("a", at(5), null)], startTime: at(0), endTime: null },
      new Date(at(20)),
    );
    expect(rows[0]?.bar).toEqual({ start: 0.25, length: 0.75 });
  });

  it("has no bar for a step that has not begun, and a visible one for a short one", () => {
    const nodes = [step("a", null, null), step("b", at(10), at(10))];
    const rows = timelineOf({ nodes, startTime: at(0), endTime: at(10) }, new Date(at(10)));
    expect(rows[0]?.bar).toBeNull();
    expect(rows[1]?.bar?.length).toBeGreaterThan(0);
    expect((rows[1]?.bar?.start ?? 0) + (rows[1]?.bar?.length ?? 0)).toBeLessThanOrEqual(1);
  });

  it("shows the steps of a loop behind it, deeper", () => {
    const nodes = [step("inner", null, null, "loop"), step("loop", null, null), step("last", null, null)];
    const rows = timelineOf({ nodes, startTime: at(0), endTime: null }, new Date(at(1)));
    expect(rows.map(({ step: { nodeId }, depth }) => [nodeId, depth])).toEqual([
      ["loop", 0],
      ["inner", 1],
      ["last", 0],
    ]);
  });

  it("is not led astray by clocks that differ", () => {
    const rows = timelineOf(
      { nodes: [step("a", at(1), null)], startTime: at(5), endTime: null },
      new Date(at(2)),
    );
    expect(rows[0]?.bar?.start).toBeGreaterThanOrEqual(0);
    expect(rows[0]?.bar?.length).toBeLessThanOrEqual(1);
  });
});
