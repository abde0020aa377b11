import { describe, expect, it } from "vitest";

import { formatCents, formatCredits, formatDuration, formatRelative, formatSpan } from "./format";

describe("formatSpan", () => {
  it("names a day once, and a minute once", () => {
    const at = (hour: number, minute: number, day = 30) => new Date(2026, 10, day, hour, minute);
    const plain = (text: string) => text.replace(/\s/g, " ");
    expect(plain(formatSpan(at(14, 2), at(14, 31)))).toBe("Nov 30, 14:02 – 14:31");
    expect(plain(formatSpan(at(0, 2), at(0, 2)))).toBe("Nov 30, 00:02");
    expect(plain(formatSpan(at(23, 50, 29), at(0, 10)))).toBe("Nov 29, 23:50 – Nov 30, 00:10");
  });
});

describe("formatCredits", () => {
  it.each([
    [0, "0.00"],
    [0.1, "0.10"],
    [1234.5, "1,234.50"],
    [-1234567.25, "−1,234,567.25"],
    ["9007199254740993.01", "9,007,199,254,740,993.01"],
    [1e-7, "0.00"],
  ])("writes %s exactly", (value, text) => {
    expect(formatCredits(value)).toBe(text);
  });
});

describe("formatCents", () => {
  it.each([
    [0, "usd", "$0.00"],
    [5, "usd", "$0.05"],
    [123456, "USD", "$1,234.56"],
    [-999, "eur", "−€9.99"],
    [100, "chf", "1.00 CHF"],
  ])("writes %s cents of %s exactly", (cents, currency, text) => {
    expect(formatCents(cents, currency)).toBe(text);
  });
});

describe("formatDuration", () => {
  it.each([
    [0, "0 s"],
    [0.0001, "1 ms"],
    [0.012, "12 ms"],
    [0.44, "0.4 s"],
    [12.4, "12 s"],
    [59.7, "1 min"],
    [185, "3 min 5 s"],
    [7800, "2 h 10 min"],
  ])("writes %s seconds", (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});

describe("formatRelative", () => {
  const now = new Date("2026-11-30T12:00:00Z");
  it.each([
    ["2026-11-30T11:59:30Z", "just now"],
    ["2026-11-30T11:57:00Z", "3 minutes ago"],
    ["2026-12-02T12:00:00Z", "in 2 days"],
    ["2026-11-29T11:00:00Z", "yesterday"],
  ])("says how far %s is", (time, text) => {
    expect(formatRelative(new Date(time), now)).toBe(text);
  });
});
