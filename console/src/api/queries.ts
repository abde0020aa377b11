/** Queries that several features read. Those of one feature live in it. */
import { queryOptions } from "@tanstack/react-query";

import { api, body, csrfToken, type Schemas } from "./client";
import { keys } from "./keys";
import { ApiError } from "./problem";

/** The signed-in user, null for a stranger. */
export const meQuery = queryOptions({
  queryKey: keys.me,
  queryFn: async ({ signal }): Promise<Schemas["User"] | null> => {
    if (!csrfToken()) return null; // it comes and goes with the session
    try {
      return (await body(api.GET("/auth/me", { signal }))).user;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

export const balanceQuery = queryOptions({
  queryKey: keys.credits.balance,
  queryFn: ({ signal }) => body(api.GET("/credits/balance", { signal })),
});

export const subscriptionQuery = queryOptions({
  queryKey: keys.billing.subscription,
  queryFn: ({ signal }) => body(api.GET("/subscriptions/current", { signal })),
});

/** What the service tells before sign-in; it changes with a deployment only. */
export const configQuery = queryOptions({
  queryKey: keys.config,
  queryFn: ({ signal }) => body(api.GET("/config", { signal })),
  staleTime: Infinity,
});

export const paymentMethodsQuery = queryOptions({
  queryKey: keys.billing.paymentMethods,
  queryFn: ({ signal }) => body(api.GET("/payment-methods", { signal })),
});
