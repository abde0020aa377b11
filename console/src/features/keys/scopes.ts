/** What an access key may do, in words. */
import type { Schemas } from "@/api/client";

export type Scope = Schemas["AccessKey"]["scopes"][number];

export const SCOPES: Record<Scope, string> = {
  "workflows:read": "read workflows",
  "workflows:write": "change workflows",
  "executions:read": "read runs",
  "executions:run": "start and steer runs",
  "credits:read": "read credits",
  "billing:read": "read billing",
  "billing:write": "buy and subscribe",
};

/** Everything but paying, which is what the API gives a key without scopes. */
export const DEFAULT_SCOPES = (Object.keys(SCOPES) as Scope[]).filter((scope) => scope !== "billing:write");

export const LIFETIMES = [
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "1 year" },
  { value: "never", label: "No end" },
];

/** When a key of so many days ends, as the API takes it; null for no end. */
export function expiryOf(lifetime: string, now = new Date()): string | null {
  const days = Number(lifetime);
  return Number.isNaN(days) ? null : new Date(now.getTime() + days * 86_400_000).toISOString();
}
