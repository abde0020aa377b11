import { describe, expect, it } from "vitest";

import { hasGivenUp, nextOf } from "./next";
import type { Schedule } from "./queries";

const at = (id: string, nextRunAt: string | null) => ({ id, nextRunAt }) as Schedule;

describe("the next schedule", () => {
  it("is the one whose time comes first", () => {
    const found = nextOf([
      at("late", "2027-01-02T07:00:00Z"),
      at("off", null),
      at("soon", "2027-01-01T07:00:00Z"),
    ]);
    expect(found?.id).toBe("soon");
  });

  it("is the newest if all are paused, and none if there are none", () => {
    expect(nextOf([at("newest", null), at("oldest", null)])?.id).toBe("newest");
    expect(nextOf([])).toBeUndefined();
  });

  it("has given up only if the service switched it off", () => {
    expect(hasGivenUp({ enabled: false, refusals: 10 })).toBe(true);
    expect(hasGivenUp({ enabled: false, refusals: 9 })).toBe(false);
    expect(hasGivenUp({ enabled: true, refusals: 10 })).toBe(false);
  });
});
