/** The destinations of the navigation, in their order. */
import {
  IconAdjustments,
  IconCoins,
  IconCrown,
  IconHome,
  IconKey,
  IconLayoutGrid,
  IconPlayerPlay,
  IconShieldCog,
  IconSitemap,
} from "@tabler/icons-react";

import { useUser } from "@/api/session";

const DESTINATIONS = [
  { to: "/", label: "Home", icon: IconHome, onBar: true },
  { to: "/workflows", label: "Workflows", icon: IconSitemap, onBar: true },
  { to: "/runs", label: "Runs", icon: IconPlayerPlay, onBar: true },
  { to: "/templates", label: "Templates", icon: IconLayoutGrid, onBar: true },
  { to: "/credits", label: "Credits", icon: IconCoins, onBar: false },
  { to: "/subscription", label: "Subscription", icon: IconCrown, onBar: false },
  { to: "/keys", label: "Keys", icon: IconKey, onBar: false },
  { to: "/settings", label: "Settings", icon: IconAdjustments, onBar: false },
] as const;

const ADMIN = { to: "/admin", label: "Admin", icon: IconShieldCog, onBar: false } as const;

/** What the user may go to; administrators have one more. */
export function useDestinations() {
  return useUser().role === "admin" ? [...DESTINATIONS, ADMIN] : DESTINATIONS;
}
