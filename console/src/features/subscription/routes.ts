import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

const subscription = createRoute({
  getParentRoute: () => shellRoute,
  path: "/subscription",
  component: lazyRouteComponent(() => import("./SubscriptionPage"), "SubscriptionPage"),
});

export const subscriptionRoutes = [subscription] as const;
