import { describe, expect, it } from "vitest";

import { safeNext } from "./next";

describe("safeNext", () => {
  it.each(["/", "/runs/1?tab=log", "/workflows#x"])("accepts %s", (address) => {
    expect(safeNext(address)).toBe(address);
  });

  it.each([
    "//attacker.example",
    "/\\attacker.example",
    "https://attacker.example",
    "javascript:alert(1)",
    1,
    undefined,
    "",
  ])("refuses %s", (address) => {
    expect(safeNext(address)).toBeUndefined();
  });
});
