/** The frames that the features' routes hang in: the root, the screens of signed-in users, and those of strangers. */
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  lazyRouteComponent,
  redirect,
} from "@tanstack/react-router";

import { meQuery } from "@/api/queries";

import { NotFound, RouteError } from "./RouteError";
import { Shell } from "./Shell";

interface RouterContext {
  queryClient: QueryClient;
}

export const rootRoute = createRootRouteWithContext<RouterContext>()({
  errorComponent: RouteError,
  notFoundComponent: NotFound,
});

/** Screens that need a session, inside the shell with the navigation. */
export const shellRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: "shell",
  beforeLoad: async ({ context, location }) => {
    const user = await context.queryClient.query({ ...meQuery, staleTime: "static" });
    if (!user) throw redirect({ to: "/sign-in", search: { next: location.href } });
  },
  component: Shell,
  errorComponent: RouteError,
});

/** Screens for strangers: a card in the middle. */
export const strangerRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: "stranger",
  beforeLoad: ({ context }) => {
    // With a cookie, also one of a session that is over, the page asked for it already (boot.js). An answer that nobody
    // takes now would be taken after the sign-up, for which it is wrong.
    void context.queryClient.query(meQuery).catch(() => undefined);
  },
  component: lazyRouteComponent(() => import("./StrangerFrame"), "StrangerFrame"),
  errorComponent: RouteError,
});
