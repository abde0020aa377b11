import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

/** What the address of the list says: the words to find workflows by. */
function readSearch({ q }: Record<string, unknown>): { q?: string } {
  return typeof q === "string" && q !== "" ? { q } : {};
}

const workflows = createRoute({
  getParentRoute: () => shellRoute,
  path: "/workflows",
  validateSearch: readSearch,
  component: lazyRouteComponent(() => import("./WorkflowsPage"), "WorkflowsPage"),
});

export const workflowsRoutes = [workflows] as const;
