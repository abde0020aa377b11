import { describe, expect, it } from "vitest";

import { heights } from "./month";

describe("heights", () => {
  it("are parts of the tallest, and visible unless nothing was spent", () => {
    expect(heights([0, 50, 100, 0.01])).toEqual([0, 50, 100, 4]);
    expect(heights([0, 0])).toEqual([0, 0]);
    expect(heights([])).toEqual([]);
  });
});
