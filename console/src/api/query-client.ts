import { QueryClient } from "@tanstack/react-query";

import { ApiError } from "./problem";

const MAX_RETRIES = 2;

/** Whether a failed read may succeed when it is repeated. */
function isPassing(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status >= 500;
}

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      retry: (count, error) => count < MAX_RETRIES && isPassing(error),
      networkMode: "always", // the browser's opinion of the network is wrong on loopback; the request finds out
    },
    mutations: { networkMode: "always" },
  },
});
