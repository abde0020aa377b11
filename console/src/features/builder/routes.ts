import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

const builder = createRoute({
  getParentRoute: () => shellRoute,
  path: "/workflows/$workflowId",
  component: lazyRouteComponent(() => import("./BuilderPage"), "BuilderPage"),
});

export const builderRoutes = [builder] as const;
