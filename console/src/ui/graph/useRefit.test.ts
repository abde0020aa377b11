import { describe, expect, it } from "vitest";

import { isReshaped } from "./useRefit";

const upright = { width: 390, height: 844 };

describe("isReshaped", () => {
  it("is a phone that is turned, and a window of another size", () => {
    expect(isReshaped(upright, { width: 844, height: 390 }, true)).toBe(true);
    expect(isReshaped({ width: 1280, height: 800 }, { width: 1280, height: 600 }, false)).toBe(true);
  });

  it("is no keyboard that opens on a phone", () => {
    expect(isReshaped(upright, { width: 390, height: 480 }, true)).toBe(false);
  });
});
