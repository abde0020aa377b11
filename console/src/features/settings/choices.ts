/** A choice about notifications, applied before the API has answered. */
import type { Schemas } from "@/api/client";

export type Channel = "email" | "push";

interface Choice {
  topic: Schemas["Preference"]["topic"];
  channel: Channel;
  on: boolean;
}

export function changed(
  { preferences, ...rest }: Schemas["Preferences"],
  { topic, channel, on }: Choice,
): Schemas["Preferences"] {
  return {
    ...rest,
    preferences: preferences.map((one) => (one.topic === topic ? { ...one, [channel]: on } : one)),
  };
}
