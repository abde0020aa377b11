import { afterEach, describe, expect, it, vi } from "vitest";

import { type Filled, overwritten, saveOver } from "./conflict";
import { removeSchedule, type ScheduleDetail, type Settings, type Stored } from "./queries";

const READ: ScheduleDetail = {
  id: "8d6f",
  workflowId: "5f0c",
  cron: "0 7 * * *",
  description: "At 07:00 every day",
  timeZone: "Europe/Oslo",
  name: "Morning",
  input: { letter: "Dear Ada" },
  maxCredits: null,
  enabled: true,
  nextRunAt: null,
  lastRunAt: null,
  lastExecutionId: null,
  lastError: null,
  refusals: 0,
  createdAt: "2026-11-02T09:30:00Z",
  updatedAt: "2026-11-02T09:30:00Z",
};
const KNOWN: Stored = { schedule: READ, tag: '"read"' };
const MINE: Filled = { ...filledOf(READ), name: "Early" };

function filledOf({ cron, timeZone, name, input, maxCredits }: Settings): Filled {
  return { cron, timeZone, name, input, maxCredits };
}

interface Sent {
  method: string;
  tag: string | null;
  changes: unknown;
}

/** An API that has `schedule` by now, and takes changes of that alone; returns what it is sent, but for reads. */
function apiWith(schedule: ScheduleDetail, tag: string): Sent[] {
  const sent: Sent[] = [];
  const headers = { "Content-Type": "application/json", ETag: tag };
  vi.stubGlobal("fetch", async (request: Request) => {
    if (request.method === "GET") return new Response(JSON.stringify({ schedule }), { headers });
    const text = await request.text();
    const match = request.headers.get("If-Match");
    sent.push({ method: request.method, tag: match, changes: text ? JSON.parse(text) : null });
    const refusal = {
      code: "precondition_failed",
      title: "Precondition Failed",
      detail: "Changed.",
      schedule,
    };
    return match === tag
      ? new Response(JSON.stringify({ schedule }), { headers })
      : new Response(JSON.stringify(refusal), { status: 412, headers });
  });
  return sent;
}

afterEach(() => vi.unstubAllGlobals());

describe("saving the form of a schedule", () => {
  it("is on condition that it still is what was read", async () => {
    const sent = apiWith(READ, KNOWN.tag);
    expect(await saveOver(KNOWN, MINE)).toBeNull();
    expect(sent).toEqual([{ method: "PUT", tag: '"read"', changes: { ...MINE, input: undefined } }]);
  });

  it("overwrites nothing that somebody else changed, and says what that is", async () => {
    const stored = { ...READ, cron: "0 9 * * *", name: "Late" };
    const sent = apiWith(stored, '"newer"');
    const conflict = { stored: { schedule: stored, tag: '"newer"' }, fields: ["cron", "name"] };
    expect(await saveOver(KNOWN, MINE)).toEqual(conflict);
    expect(sent).toHaveLength(1);
  });

  it("over the one that was stored meanwhile replaces that, with its input", async () => {
    const stored = { ...READ, input: { letter: "Dear Bob" } };
    const sent = apiWith(stored, '"newer"');
    expect(await saveOver({ schedule: stored, tag: '"newer"' }, MINE)).toBeNull();
    expect(sent).toEqual([{ method: "PUT", tag: '"newer"', changes: MINE }]);
  });

  it("asks about nothing when the schedule was only switched off meanwhile, and leaves it off", async () => {
    const sent = apiWith({ ...READ, enabled: false }, '"newer"');
    expect(await saveOver(KNOWN, MINE)).toBeNull();
    expect(sent.map(({ tag }) => tag)).toEqual(['"read"', '"newer"']);
    expect(sent[1]?.changes).not.toHaveProperty("enabled");
  });
});

describe("what a save would overwrite", () => {
  it.each<[string, Partial<Filled>, Partial<Filled>, (keyof Filled)[]]>([
    ["what only the form changed", { name: "Early" }, {}, []],
    ["what both changed alike", { name: "Early" }, { name: "Early" }, []],
    ["what both changed", { name: "Early" }, { name: "Late" }, ["name"]],
    [
      "what only somebody else changed",
      {},
      { input: { letter: "Dear Bob" }, maxCredits: 5 },
      ["input", "maxCredits"],
    ],
  ])("is decided for %s", (_, mine, stored, fields) => {
    const known = filledOf(READ);
    expect(overwritten({ ...known, ...mine }, known, { ...known, ...stored })).toEqual(fields);
  });
});

describe("deleting a schedule", () => {
  it("is on condition that it is what Undo would bring back", async () => {
    const sent = apiWith(READ, '"read"');
    expect(await removeSchedule(READ)).toEqual({ ...filledOf(READ), enabled: true });
    expect(sent).toEqual([{ method: "DELETE", tag: '"read"', changes: null }]);
  });
});
