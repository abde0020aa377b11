import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

const workflows = createRoute({
  getParentRoute: () => shellRoute,
  path: "/workflows",
  component: lazyRouteComponent(() => import("./WorkflowsPage"), "WorkflowsPage"),
});

export const workflowsRoutes = [workflows] as const;
