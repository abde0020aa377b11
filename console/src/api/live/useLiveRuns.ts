/** Keeps lists of runs, and what follows from them, up to date while a screen shows them. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";

import { keys } from "../keys";

const EVERY_MS = 5000;

export function useLiveRuns(): void {
  const client = useQueryClient();
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState !== "visible") return;
      for (const queryKey of [keys.runs.lists, keys.credits.balance, keys.usage("month")]) {
        void client.invalidateQueries({ queryKey });
      }
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [client]);
}
