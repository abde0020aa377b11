import { describe, expect, it } from "vitest";

import { difference, sumOf } from "./decimal";

describe("sums of credits", () => {
  it.each([
    [[0.1, 0.2], "0.30"],
    [[], "0.00"],
    [["9007199254740993.01", 0.99], "9007199254740994.00"],
    [[1.5, -2], "-0.50"],
    [[1e-7, 2], "2.00"],
  ])("adds %s exactly", (values, sum) => {
    expect(sumOf(values)).toBe(sum);
  });

  it("subtracts exactly", () => {
    expect(difference(0.3, 0.1)).toBe("0.20");
    expect(difference(1, "1.05")).toBe("-0.05");
  });
});
