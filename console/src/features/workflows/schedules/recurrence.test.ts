import { describe, expect, it } from "vitest";

import { changeKind, cronOf, type Recurrence, recurrenceOf } from "./recurrence";

const PAIRS: [string, Recurrence][] = [
  ["15 * * * *", { kind: "hourly", minute: 15 }],
  ["0 7 * * *", { kind: "daily", time: "07:00" }],
  ["30 18 * * 1-5", { kind: "weekdays", time: "18:30" }],
  ["5 9 * * 0", { kind: "weekly", time: "09:05", day: "0" }],
  ["0 0 28 * *", { kind: "monthly", time: "00:00", date: "28" }],
  ["0 12 L * *", { kind: "monthly", time: "12:00", date: "L" }],
];

describe("a recurrence", () => {
  it.each(PAIRS)("is %s and back", (cron, recurrence) => {
    expect(cronOf(recurrence)).toBe(cron);
    expect(recurrenceOf(cron)).toEqual(recurrence);
  });

  it.each([
    ...["*/15 * * * *", "0 7,19 * * *", "0 7 * 1 *", "0 7 1 * 1", "0 7 31 * *", "0 7 * * 1,2", "0 24 * * *"],
    ...["0 7 * * * *", "", "nonsense"],
  ])("is a custom one for %s", (cron) => {
    expect(recurrenceOf(cron)).toEqual({ kind: "custom", cron });
    expect(cronOf(recurrenceOf(cron))).toBe(cron.trim());
  });

  it("knows weekdays by their names", () => {
    expect(recurrenceOf("0 7 * * mon-fri")).toEqual({ kind: "weekdays", time: "07:00" });
  });

  it("of another kind keeps the time, and begins a custom one with the expression", () => {
    const daily: Recurrence = { kind: "daily", time: "08:30" };
    expect(changeKind(daily, "weekly")).toEqual({ kind: "weekly", time: "08:30", day: "1" });
    expect(changeKind(daily, "custom")).toEqual({ kind: "custom", cron: "30 8 * * *" });
    expect(changeKind({ kind: "hourly", minute: 5 }, "monthly")).toEqual({
      kind: "monthly",
      time: "07:00",
      date: "1",
    });
  });
});
