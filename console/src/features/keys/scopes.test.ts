import { describe, expect, it } from "vitest";

import { DEFAULT_SCOPES, expiryOf, SCOPES } from "./scopes";

describe("access keys", () => {
  it("may do everything but pay, unless told otherwise", () => {
    expect(DEFAULT_SCOPES).toHaveLength(Object.keys(SCOPES).length - 1);
    expect(DEFAULT_SCOPES).not.toContain("billing:write");
  });

  it("end after their days, or never", () => {
    const now = new Date("2026-12-01T10:00:00Z");
    expect(expiryOf("30", now)).toBe("2026-12-31T10:00:00.000Z");
    expect(expiryOf("never", now)).toBeNull();
  });
});
