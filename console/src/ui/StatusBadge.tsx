/** A state as icon, word and colour, so that it can be told without the colour. */
import {
  IconAlertTriangle,
  IconCircleCheck,
  IconCircleDashed,
  IconCircleMinus,
  IconCircleX,
  IconClockPause,
  IconLoader2,
  IconPencil,
  IconPlayerStop,
} from "@tabler/icons-react";
import type { ComponentType } from "react";

import classes from "./StatusBadge.module.css";

type Tone = "success" | "running" | "waiting" | "failed" | "queued" | "neutral";

interface Look {
  tone: Tone;
  icon: ComponentType<{ size?: number; className?: string | undefined; "aria-hidden"?: boolean }>;
  word: string;
}

const LOOKS: Record<string, Look> = {
  queued: { tone: "queued", icon: IconCircleDashed, word: "Queued" },
  pending: { tone: "queued", icon: IconCircleDashed, word: "Pending" },
  processing: { tone: "running", icon: IconLoader2, word: "Processing" },
  running: { tone: "running", icon: IconLoader2, word: "Running" },
  waiting: { tone: "waiting", icon: IconClockPause, word: "Waiting" },
  requires_action: { tone: "waiting", icon: IconClockPause, word: "Needs you" },
  review: { tone: "waiting", icon: IconClockPause, word: "In review" },
  past_due: { tone: "waiting", icon: IconAlertTriangle, word: "Past due" },
  late: { tone: "waiting", icon: IconAlertTriangle, word: "Late" },
  cancelling: { tone: "neutral", icon: IconPlayerStop, word: "Cancelling" },
  cancelled: { tone: "neutral", icon: IconCircleMinus, word: "Cancelled" },
  canceled: { tone: "neutral", icon: IconCircleMinus, word: "Cancelled" },
  skipped: { tone: "neutral", icon: IconCircleMinus, word: "Skipped" },
  draft: { tone: "neutral", icon: IconPencil, word: "Draft" },
  untested: { tone: "neutral", icon: IconCircleDashed, word: "Untested" },
  success: { tone: "success", icon: IconCircleCheck, word: "Success" },
  succeeded: { tone: "success", icon: IconCircleCheck, word: "Succeeded" },
  active: { tone: "success", icon: IconCircleCheck, word: "Active" },
  valid: { tone: "success", icon: IconCircleCheck, word: "Valid" },
  paid: { tone: "success", icon: IconCircleCheck, word: "Paid" },
  up: { tone: "success", icon: IconCircleCheck, word: "Up" },
  failed: { tone: "failed", icon: IconCircleX, word: "Failed" },
  invalid: { tone: "failed", icon: IconCircleX, word: "Invalid" },
  down: { tone: "failed", icon: IconCircleX, word: "Down" },
};

/** A state that the console does not know is shown by its own name. */
function lookOf(status: string): Look {
  const word = status.replaceAll("_", " ");
  return (
    LOOKS[status] ?? {
      tone: "neutral",
      icon: IconCircleDashed,
      word: word.charAt(0).toUpperCase() + word.slice(1),
    }
  );
}

export function StatusBadge({ status, label }: { status: string; label?: string }) {
  const { tone, icon: Icon, word } = lookOf(status);
  return (
    <span className={classes.badge} data-tone={tone} data-status={status}>
      <Icon size={14} aria-hidden className={Icon === IconLoader2 ? classes.turning : undefined} />
      {label ?? word}
    </span>
  );
}

/** A state as an icon alone, with its word for those who do not see it. */
export function StatusIcon({ status }: { status: string }) {
  const { tone, icon: Icon, word } = lookOf(status);
  return (
    <span
      className={classes.alone}
      data-tone={tone}
      data-status={status}
      role="img"
      aria-label={word}
      title={word}
    >
      <Icon size={18} aria-hidden className={Icon === IconLoader2 ? classes.turning : undefined} />
    </span>
  );
}
