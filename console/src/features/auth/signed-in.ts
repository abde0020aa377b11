import { useQueryClient } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";

import type { Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { noteRenewal } from "@/api/session";

/** What to do once the API has set the session's cookies: remember the user and go on. */
export function useSignedIn(next: string | undefined): (user: Schemas["User"]) => Promise<void> {
  const router = useRouter();
  const queryClient = useQueryClient();
  return async (user) => {
    queryClient.clear();
    queryClient.setQueryData(keys.me, user);
    noteRenewal();
    await router.navigate({ href: next ?? "/" });
  };
}
