import { renderHook } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { useIdempotencyKey } from "./idempotency";

describe("useIdempotencyKey", () => {
  it("repeats the key for the same content, and makes another one for another", () => {
    const { result } = renderHook(() => useIdempotencyKey());
    const first = result.current({ name: "a" });
    expect(result.current({ name: "a" })).toBe(first);
    expect(result.current({ name: "ä" })).not.toBe(first);
    expect(result.current()).toMatch(/^[0-9a-f-]{36}$/);
  });
});
