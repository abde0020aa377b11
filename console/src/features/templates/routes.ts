import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

const templates = createRoute({
  getParentRoute: () => shellRoute,
  path: "/templates",
  component: lazyRouteComponent(() => import("./TemplatesPage"), "TemplatesPage"),
});

export const templatesRoutes = [templates] as const;
