import { describe, expect, it } from "vitest";

import { changeByFilter, changeByIds, type Outcome, summaryOf } from "./bulk";

const outcome = (id: string, message: string | null = null): Outcome => ({
  id,
  accepted: message === null,
  status: null,
  executionId: null,
  code: message && "conflict",
  message,
});

describe("summaryOf", () => {
  it("counts, and says each reason once", () => {
    expect(
      summaryOf([outcome("a"), outcome("b", "It ended."), outcome("c", "It ended."), outcome("d", "No.")]),
    ).toEqual({
      accepted: 1,
      refused: [
        { message: "It ended.", count: 2 },
        { message: "No.", count: 1 },
      ],
    });
  });
});

describe("changeByIds", () => {
  it("sends a hundred at a time", async () => {
    const sent: number[] = [];
    const ids = Array.from({ length: 230 }, (_, index) => String(index));
    const summary = await changeByIds(ids, (chosen) => {
      const some = "ids" in chosen ? chosen.ids : [];
      sent.push(some.length);
      return Promise.resolve({ results: some.map((id) => outcome(id)), nextCursor: null });
    });
    expect(summary.accepted).toBe(230);
    expect(sent).toEqual([100, 100, 30]);
  });
});

describe("changeByFilter", () => {
  it("goes on until there are no more", async () => {
    const cursors: unknown[] = [];
    const summary = await changeByFilter({ tag: "night" }, (chosen) => {
      const filter = "filter" in chosen ? chosen.filter : null;
      cursors.push(filter?.cursor);
      expect(filter?.tag).toBe("night");
      return Promise.resolve({ results: [outcome("a")], nextCursor: cursors.length < 3 ? "next" : null });
    });
    expect(cursors).toEqual([null, "next", "next"]);
    expect(summary).toEqual({ accepted: 3, refused: [] });
  });
});
