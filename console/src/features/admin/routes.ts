import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

import { isTab, type Tab } from "./tabs";

const admin = createRoute({
  getParentRoute: () => shellRoute,
  path: "/admin",
  validateSearch: (search: Record<string, unknown>): { tab?: Tab } =>
    isTab(search.tab) ? { tab: search.tab } : {},
  component: lazyRouteComponent(() => import("./AdminPage"), "AdminPage"),
});

const person = createRoute({
  getParentRoute: () => shellRoute,
  path: "/admin/users/$userId",
  component: lazyRouteComponent(() => import("./PersonPage"), "PersonPage"),
});

export const adminRoutes = [admin, person] as const;
