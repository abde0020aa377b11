/** All routes. A feature lists its own in features/<name>/routes.ts; each screen is a chunk that loads when opened. */
import { createRouter } from "@tanstack/react-router";

import { queryClient } from "@/api/query-client";
import { adminRoutes } from "@/features/admin/routes";
import { authRoutes } from "@/features/auth/routes";
import { builderRoutes } from "@/features/builder/routes";
import { creditsRoutes } from "@/features/credits/routes";
import { homeRoutes } from "@/features/home/routes";
import { keysRoutes } from "@/features/keys/routes";
import { runsRoutes } from "@/features/runs/routes";
import { settingsRoutes } from "@/features/settings/routes";
import { subscriptionRoutes } from "@/features/subscription/routes";
import { templatesRoutes } from "@/features/templates/routes";
import { workflowsRoutes } from "@/features/workflows/routes";

import { Pending } from "./RouteError";
import { rootRoute, shellRoute, strangerRoute } from "./routes";

const routeTree = rootRoute.addChildren([
  shellRoute.addChildren([
    ...homeRoutes,
    ...workflowsRoutes,
    ...builderRoutes,
    ...runsRoutes,
    ...templatesRoutes,
    ...creditsRoutes,
    ...subscriptionRoutes,
    ...keysRoutes,
    ...settingsRoutes,
    ...adminRoutes,
  ]),
  strangerRoute.addChildren([...authRoutes]),
]);

export const router = createRouter({
  routeTree,
  basepath: new URL(document.baseURI).pathname,
  context: { queryClient },
  defaultPreload: "intent",
  defaultPreloadStaleTime: 0,
  defaultPendingComponent: Pending,
  defaultPendingMs: 300,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
