import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

const admin = createRoute({
  getParentRoute: () => shellRoute,
  path: "/admin",
  component: lazyRouteComponent(() => import("./AdminPage"), "AdminPage"),
});

export const adminRoutes = [admin] as const;
