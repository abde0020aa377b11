/** The session of this browser, which lives in a cookie that no script can read. */
import { useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { useCallback, useEffect } from "react";

import { api, onSessionEnd, type Schemas } from "./client";
import { keys } from "./keys";
import { meQuery } from "./queries";

const RENEWED_AT = "agentforge-session-renewed-at"; // a time, not a token
const RENEW_AFTER_MS = 6 * 3_600_000; // a token lives a day
const CHECK_MS = 15 * 60_000;

/** The signed-in user; only inside of the shell. */
export function useUser(): Schemas["User"] {
  const { data } = useSuspenseQuery(meQuery);
  if (!data) throw new Error("Nobody is signed in.");
  return data;
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
  const queryClient = useQueryClient();
  useEffect(() => {
    const check = () => {
      // A failure is no harm: the token goes on working, and the next check tries again.
      if (document.visibilityState === "visible") void renew().catch(() => undefined);
    };
    check();
    const timer = setInterval(check, CHECK_MS);
    document.addEventListener("visibilitychange", check);
    const stop = onSessionEnd(() => {
      const next = router.state.location.href;
      queryClient.clear();
      queryClient.setQueryData(keys.me, null);
      void router.navigate({ to: "/sign-in", search: { next } });
    });
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", check);
      stop();
    };
  }, [router, queryClient]);
}

/** Ends the session, forgets what was cached, and shows the sign-in. */
export function useSignOut(): () => Promise<void> {
  const router = useRouter();
  const queryClient = useQueryClient();
  return useCallback(async () => {
    await api.POST("/auth/logout", {});
    await router.navigate({ to: "/sign-in" });
    queryClient.clear();
  }, [router, queryClient]);
}
