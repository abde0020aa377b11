/** How node types look: an icon and a family, which has a colour. */
import {
  IconArrowsSplit,
  IconArrowsJoin,
  IconClockHour4,
  IconHelpHexagon,
  IconLogin2,
  IconLogout2,
  IconRepeat,
  IconRobot,
  IconSubtask,
  IconTransform,
  IconUserQuestion,
  IconWorld,
} from "@tabler/icons-react";
import type { ComponentType } from "react";

export type Family = "ends" | "data" | "calls" | "flow" | "people";

type Icon = ComponentType<{ size?: number; stroke?: number; "aria-hidden"?: boolean }>;

interface TypeLook {
  icon: Icon;
  family: Family;
  title: string;
}

const LOOKS: Record<string, TypeLook> = {
  input: { icon: IconLogin2, family: "ends", title: "Input" },
  output: { icon: IconLogout2, family: "ends", title: "Output" },
  process: { icon: IconTransform, family: "data", title: "Process" },
  ai_agent: { icon: IconRobot, family: "calls", title: "AI agent" },
  api_call: { icon: IconWorld, family: "calls", title: "API call" },
  subworkflow: { icon: IconSubtask, family: "calls", title: "Subworkflow" },
  decision: { icon: IconArrowsSplit, family: "flow", title: "Decision" },
  loop: { icon: IconRepeat, family: "flow", title: "Loop" },
  merge: { icon: IconArrowsJoin, family: "flow", title: "Merge" },
  wait: { icon: IconClockHour4, family: "people", title: "Wait" },
  approval: { icon: IconUserQuestion, family: "people", title: "Approval" },
};

/** A type that the console does not know is shown by its own name. */
export function typeLook(type: string): TypeLook {
  return LOOKS[type] ?? { icon: IconHelpHexagon, family: "data", title: type };
}
