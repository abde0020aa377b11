import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

const runs = createRoute({
  getParentRoute: () => shellRoute,
  path: "/runs",
  component: lazyRouteComponent(() => import("./RunsPage"), "RunsPage"),
});

const run = createRoute({
  getParentRoute: () => shellRoute,
  path: "/runs/$runId",
  component: lazyRouteComponent(() => import("./RunPage"), "RunPage"),
});

export const runsRoutes = [runs, run] as const;
