import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

const credits = createRoute({
  getParentRoute: () => shellRoute,
  path: "/credits",
  component: lazyRouteComponent(() => import("./CreditsPage"), "CreditsPage"),
});

export const creditsRoutes = [credits] as const;
