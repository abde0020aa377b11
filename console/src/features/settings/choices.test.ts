import { describe, expect, it } from "vitest";

import type { Schemas } from "@/api/client";

import { changed } from "./choices";

function preference(topic: Schemas["Preference"]["topic"]): Schemas["Preference"] {
  return { topic, title: topic, email: true, push: true, required: [], reason: null };
}

describe("changed", () => {
  it("changes one channel of one topic", () => {
    const before = { devices: 1, preferences: [preference("run_failed"), preference("low_balance")] };
    const after = changed(before, { topic: "low_balance", channel: "push", on: false });
    expect(after.preferences).toEqual([
      preference("run_failed"),
      { ...preference("low_balance"), push: false },
    ]);
    expect(after.devices).toBe(1);
    expect(before.preferences[1]?.push).toBe(true);
  });
});
