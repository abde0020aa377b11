import { describe, expect, it } from "vitest";

import { actionWords } from "./audit";

describe("actionWords", () => {
  it("has a sentence for what users do often, and the name of the action for all else", () => {
    expect(actionWords("auth.login")).toBe("Signed in");
    expect(actionWords("access_key.created")).toBe("Access key created");
    expect(actionWords("auth.something_new")).toBe("Something new");
  });
});
