/** The session of this browser, which lives in a cookie that no script can read. */
import { useSuspenseQuery } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { useCallback, useEffect, useState } from "react";

import { api, onSessionEnd, type Schemas } from "./client";
import { forgetPins } from "./pins";
import { meQuery } from "./queries";

const RENEWED_AT = "agentforge-session-renewed-at"; // a time, not a token
const RENEW_AFTER_MS = 6 * 3_600_000; // a token lives a day
const CHECK_MS = 15 * 60_000;

/** The signed-in user; only inside of the shell. */
export function useUser(): Schemas["User"] {
  const { data } = useSuspenseQuery(meQuery);
  const [first] = useState(data); // shown until the sign-in replaces the screen of a session that is over
  const user = data ?? first;
  if (!user) throw new Error("Nobody is signed in.");
  return user;
}

/** Renew the session's token when it is some hours old; one tab does so for all of them. */
async function renew(): Promise<void> {
  await navigator.locks.request("agentforge-renew", async () => {
    const renewedAt = Number(localStorage.getItem(RENEWED_AT) ?? 0);
    if (Date.now() - renewedAt < RENEW_AFTER_MS) return;
    await api.POST("/auth/refresh", {});
    noteRenewal();
  });
}

export function noteRenewal(): void {
  localStorage.setItem(RENEWED_AT, String(Date.now()));
}

/** Keep the session alive while a tab is open, and go to the sign-in when the API says that it is over. */
export function useSession(): void {
  const router = useRouter();
  useEffect(() => {
    const check = () => {
      // A failure is no harm: the token goes on working, and the next check tries again.
      if (document.visibilityState === "visible") void renew().catch(() => undefined);
    };
    check();
    const timer = setInterval(check, CHECK_MS);
    document.addEventListener("visibilitychange", check);
    const stop = onSessionEnd(() => {
      // Loading the page anew forgets everything that was cached.
      const search = { next: router.state.location.href };
      void router.navigate({ to: "/sign-in", search, reloadDocument: true });
    });
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", check);
      stop();
    };
  }, [router]);
}

/** Ends the session and shows the sign-in; loading the page anew forgets everything that was cached. */
export function useSignOut(): () => Promise<void> {
  const router = useRouter();
  return useCallback(async () => {
    await api.POST("/auth/logout", {});
    forgetPins();
    await router.navigate({ to: "/sign-in", reloadDocument: true });
  }, [router]);
}
