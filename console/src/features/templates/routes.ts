import { createRoute, lazyRouteComponent } from "@tanstack/react-router";

import { shellRoute } from "@/app/routes";

import { readGallerySearch } from "./words";

const templates = createRoute({
  getParentRoute: () => shellRoute,
  path: "/templates",
  validateSearch: readGallerySearch,
  component: lazyRouteComponent(() => import("./TemplatesPage"), "TemplatesPage"),
});

const template = createRoute({
  getParentRoute: () => shellRoute,
  path: "/templates/$templateId",
  component: lazyRouteComponent(() => import("./TemplatePage"), "TemplatePage"),
});

export const templatesRoutes = [templates, template] as const;
