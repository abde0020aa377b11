import { describe, expect, it } from "vitest";

import { isFiltered, readFilter, toApi } from "./filter";

const ID = "5f0c8a52-71f3-4c7d-8a9e-0b1c2d3e4f50";

describe("readFilter", () => {
  it("keeps a whole filter", () => {
    const filter = {
      status: "failed",
      workflowId: ID,
      query: "disk",
      tag: "night",
      from: "2026-11-30T12:00",
      to: "2026-12-01T00:00",
    };
    expect(readFilter(filter)).toEqual(filter);
  });

  it("leaves out what the API would refuse", () => {
    expect(
      readFilter({ status: "done", workflowId: "1", query: "", within: "2h", from: "yesterday", to: 5 }),
    ).toEqual({});
  });

  it("takes numbers for words, and cuts what is too long", () => {
    expect(readFilter({ query: 404 })).toEqual({ query: "404" });
    expect(readFilter({ tag: "x".repeat(90) }).tag).toHaveLength(40);
  });
});

describe("toApi", () => {
  const now = new Date("2026-11-30T12:00:00Z");

  it("counts a period back from now", () => {
    expect(toApi({ within: "24h", status: "failed" }, now)).toEqual({
      status: "failed",
      from: "2026-11-29T12:00:00.000Z",
    });
  });

  it("turns moments of the viewer's zone into moments", () => {
    const { from, to } = toApi({ from: "2026-11-30T12:00", to: "2026-11-30T13:00" }, now);
    expect(Date.parse(to ?? "") - Date.parse(from ?? "")).toBe(3_600_000);
    expect(from).toBe(new Date(2026, 10, 30, 12).toISOString());
  });
});

describe("isFiltered", () => {
  it("tells whether something is left out", () => {
    expect([isFiltered({}), isFiltered({ tag: "a" })]).toEqual([false, true]);
  });
});
