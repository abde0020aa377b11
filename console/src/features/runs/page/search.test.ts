import { describe, expect, it } from "vitest";

import { readRunSearch } from "./search";

describe("readRunSearch", () => {
  it("keeps what it knows", () => {
    expect(readRunSearch({ tab: "log", step: "a", path: "3.0" })).toEqual({
      tab: "log",
      step: "a",
      path: "3.0",
    });
    expect(readRunSearch({ tab: "other", step: 1, path: "x" })).toEqual({});
  });

  it("takes iterations that are read as numbers", () => {
    expect(readRunSearch({ path: 3 })).toEqual({ path: "3" });
  });
});
