import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

const keys = createRoute({
  getParentRoute: () => shellRoute,
  path: "/keys",
  component: lazyRouteComponent(() => import("./KeysPage"), "KeysPage"),
});

export const keysRoutes = [keys] as const;
