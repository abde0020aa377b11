import { describe, expect, it } from "vitest";

import { pageAfter } from "./usePages";

describe("pageAfter", () => {
  it("goes on by the cursor where the list has one", () => {
    expect(pageAfter({ count: 25, limit: 25, offset: 0, nextCursor: "abc" })).toEqual({ cursor: "abc" });
    expect(pageAfter({ count: 25, limit: 25, offset: 0, nextCursor: null })).toBeNull();
  });

  it("goes on by offset until a page is not full", () => {
    expect(pageAfter({ count: 25, limit: 25, offset: 25 })).toEqual({ offset: 50 });
    expect(pageAfter({ count: 3, limit: 25, offset: 50 })).toBeNull();
  });
});
