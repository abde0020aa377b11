import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

import { readFilter } from "./list/filter";
import { readRunSearch } from "./page/search";

const runs = createRoute({
  getParentRoute: () => shellRoute,
  path: "/runs",
  validateSearch: readFilter,
  component: lazyRouteComponent(() => import("./list/RunsPage"), "RunsPage"),
});

const run = createRoute({
  getParentRoute: () => shellRoute,
  path: "/runs/$runId",
  validateSearch: readRunSearch,
  component: lazyRouteComponent(() => import("./page/RunPage"), "RunPage"),
});

export const runsRoutes = [runs, run] as const;
