/** Names of the tiers. */
import type { Schemas } from "@/api/client";

const NAMES: Record<Schemas["Current"]["tier"], string> = {
  free: "Free",
  premium: "Premium",
  enterprise: "Enterprise",
};

export function planName(tier: Schemas["Current"]["tier"]): string {
  return NAMES[tier];
}
