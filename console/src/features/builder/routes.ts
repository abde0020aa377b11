import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

const builder = createRoute({
  getParentRoute: () => shellRoute,
  path: "/workflows/$workflowId",
  validateSearch: (search: Record<string, unknown>): { run?: string } =>
    typeof search.run === "string" ? { run: search.run } : {},
  component: lazyRouteComponent(() => import("./BuilderPage"), "BuilderPage"),
});

export const builderRoutes = [builder] as const;
