import { afterEach, describe, expect, it, vi } from "vitest";

import { api } from "./client";

const REFUSED = { code: "csrf_failed", title: "Forbidden", detail: "Send the token.", status: 403 };

function answer(status: number, document: object): Response {
  return new Response(JSON.stringify(document), {
    status,
    headers: { "Content-Type": "application/json" },
  });
}

/** The tokens that the API was sent, when it refuses the first and another tab has renewed the session meanwhile. */
async function tokensOf(renewed: string | null, refusal: object = REFUSED): Promise<(string | null)[]> {
  const tokens: (string | null)[] = [];
  document.cookie = "agentforge_csrf=old";
  vi.stubGlobal("fetch", async (request: Request) => {
    tokens.push(request.headers.get("X-CSRF-TOKEN"));
    await request.text();
    if (renewed) document.cookie = `agentforge_csrf=${renewed}`;
    return tokens.length > 1 ? answer(200, { message: "Done." }) : answer(403, refusal);
  });
  await api.POST("/auth/logout", {}).catch(() => undefined);
  return tokens;
}

describe("a change that meets the renewal of the session", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is sent once more with the new token", async () => {
    expect(await tokensOf("new")).toEqual(["old", "new"]);
  });

  it("is not repeated when the token is the same, or the refusal another", async () => {
    expect(await tokensOf(null)).toEqual(["old"]);
    expect(await tokensOf("new", { ...REFUSED, code: "insufficient_scope" })).toEqual(["old"]);
  });
});
