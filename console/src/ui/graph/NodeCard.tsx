/** A node as it looks on a canvas: icon, label, type, and what a run did with it. */
import { IconAlertTriangle, IconExclamationCircle } from "@tabler/icons-react";
import { memo } from "react";

import { formatDuration } from "@/ui/format";
import { StatusIcon } from "@/ui/StatusBadge";

import type { CardData, Mark } from "./flow";
import classes from "./graph.module.css";
import { typeLook } from "./types";

function MarkIcon({ mark }: { mark: Mark }) {
  const Icon = mark === "error" ? IconExclamationCircle : IconAlertTriangle;
  return (
    <span className={classes.mark} data-mark={mark} title={mark === "error" ? "Has errors" : "Has warnings"}>
      <Icon size={16} aria-hidden />
    </span>
  );
}

/** What the second line says: how long it took, how many iterations are done, or the type. */
function noteOf({ state, nodeType }: CardData): string {
  const title = typeLook(nodeType).title;
  if (!state) return title;
  const iterations = state.iterations ? `${state.iterations.done} of ${state.iterations.total}` : null;
  const duration = state.duration === null ? null : formatDuration(state.duration);
  return [iterations, duration].filter(Boolean).join(" · ") || title;
}

export const NodeCard = memo(function NodeCard({ data }: { data: CardData }) {
  const { icon: Icon, family } = typeLook(data.nodeType);
  return (
    <>
      <span className={classes.tile} data-family={family}>
        <Icon size={18} stroke={1.8} aria-hidden />
      </span>
      <span className={classes.words}>
        <span className={classes.label}>{data.label}</span>
        <span className={classes.note}>{noteOf(data)}</span>
      </span>
      {data.state ? <StatusIcon status={data.state.status} /> : null}
      {data.mark ? <MarkIcon mark={data.mark} /> : null}
    </>
  );
});
