/** Templates and what is done with them. */
import { queryOptions } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";

export type Template = Schemas["Template"];

const PAGE = 30;

export interface GalleryFilter {
  category?: string;
  own?: boolean;
}

export function galleryQuery({ category, own }: GalleryFilter) {
  const query = { limit: PAGE, ...(category ? { category } : {}), ...(own ? { own } : {}) };
  return {
    queryKey: keys.templates.list(query),
    initialPageParam: undefined as string | undefined,
    queryFn: ({ signal, pageParam }: { signal: AbortSignal; pageParam: string | undefined }) => {
      const params = { query: { ...query, ...(pageParam ? { cursor: pageParam } : {}) } };
      return body(api.GET("/templates", { params, signal }));
    },
    getNextPageParam: (page: { nextCursor: string | null }) => page.nextCursor ?? undefined,
  };
}

export const categoriesQuery = queryOptions({
  queryKey: keys.templates.categories,
  queryFn: ({ signal }) => body(api.GET("/templates/categories", { signal })),
});

export function templateQuery(templateId: string) {
  return queryOptions({
    queryKey: keys.templates.one(templateId),
    queryFn: async ({ signal }) =>
      (await body(api.GET("/templates/{templateId}", { params: { path: { templateId } }, signal }))).template,
  });
}

/** The ids of the caller's own templates: those that they may change. */
export const ownTemplatesQuery = queryOptions({
  queryKey: keys.templates.list({ own: "ids" }),
  queryFn: async ({ signal }) => {
    const { templates } = await body(
      api.GET("/templates", { params: { query: { own: true, limit: 100 } }, signal }),
    );
    return new Set(templates.map(({ id }) => id));
  },
});

export async function instantiate(templateId: string, name: string, key: string) {
  const params = { path: { templateId }, header: { "Idempotency-Key": key } };
  const call = api.POST("/templates/{templateId}/instantiate", {
    params,
    body: { name: name.trim() || null },
  });
  return (await body(call)).workflow;
}

export async function saveTemplate(template: Schemas["TemplateIn"], key: string) {
  const params = { header: { "Idempotency-Key": key } };
  return (await body(api.POST("/templates", { params, body: template }))).template;
}

export async function changeTemplate(templateId: string, change: Schemas["TemplateUpdateIn"]) {
  const params = { path: { templateId } };
  return (await body(api.PUT("/templates/{templateId}", { params, body: change }))).template;
}

export function removeTemplate(templateId: string) {
  return api.DELETE("/templates/{templateId}", { params: { path: { templateId } }, keepalive: true });
}

/** Bring a deleted template back, within ten minutes; also when the page is left at once. */
export function restoreTemplate(templateId: string) {
  return api.POST("/templates/{templateId}/undelete", { params: { path: { templateId } }, keepalive: true });
}

export function reportTemplate(templateId: string, reason: string) {
  const params = { path: { templateId } };
  return api.POST("/templates/{templateId}/report", { params, body: { reason } });
}
