/** The typed client of the API: every call of docs/openapi.json, and no other. */
import createClient, { type Middleware } from "openapi-fetch";

import { ApiError, OfflineError } from "./problem";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

const CSRF_COOKIE = "agentforge_csrf";
const CSRF_HEADER = "X-CSRF-TOKEN";
const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

/** The API stands beside the console, whose address a proxy may put below a path. */
export const API_BASE = new URL("../api", document.baseURI).pathname;

/** The value of the cookie that proves to the API that a change comes from this origin. */
export function csrfToken(cookies = document.cookie): string | undefined {
  const found = cookies.split("; ").find((cookie) => cookie.startsWith(`${CSRF_COOKIE}=`));
  return found?.slice(CSRF_COOKIE.length + 1);
}

const sessionEnded = new EventTarget();

/** Call `listener` when the API says that the session is over; returns the function that stops it. */
export function onSessionEnd(listener: () => void): () => void {
  sessionEnded.addEventListener("end", listener);
  return () => sessionEnded.removeEventListener("end", listener);
}

const SESSION_OVER = new Set(["not_authenticated", "token_expired", "token_reused"]);

const middleware: Middleware = {
  onRequest({ request }) {
    const token = csrfToken();
    if (!SAFE.has(request.method) && token) request.headers.set(CSRF_HEADER, token);
  },
  async onResponse({ response }) {
    if (response.ok || response.status === 304) return;
    const error = await ApiError.of(response);
    if (SESSION_OVER.has(error.code)) sessionEnded.dispatchEvent(new Event("end"));
    throw error;
  },
  onError({ error }) {
    // fetch() throws a TypeError when there is no connection, and an AbortError when a query is cancelled.
    return error instanceof TypeError ? new OfflineError() : undefined;
  },
};

/** Send a request; once more with the new token, when another tab renewed the session between its header and its cookie. */
async function send(request: Request): Promise<Response> {
  const repeat = SAFE.has(request.method) ? null : request.clone();
  const response = await fetch(request);
  if (!repeat || response.status !== 403) return response;
  const token = csrfToken();
  const { code } = await ApiError.of(response.clone());
  if (code !== "csrf_failed" || !token || token === repeat.headers.get(CSRF_HEADER)) return response;
  repeat.headers.set(CSRF_HEADER, token);
  return fetch(repeat);
}

export const api = createClient<paths>({
  baseUrl: API_BASE,
  credentials: "same-origin",
  fetch: send,
});
api.use(middleware);

/** The body of a successful response; the middleware throws an ApiError for all others. */
export async function body<Data>(call: Promise<{ data?: Data; response: Response }>): Promise<Data> {
  const { data } = await call;
  return data as Data;
}

/** The ETag of the state that a response shows: sent as If-Match, it keeps a change from overwriting another one. */
export function tagOf(response: Response): string {
  return response.headers.get("ETag") ?? "*";
}
