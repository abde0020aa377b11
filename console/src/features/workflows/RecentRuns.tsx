/** What a workflow did last. The runs are read when the row comes into sight. */
import { useIntersection } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { type Ref, useState } from "react";

import type { Run } from "@/api/runs";
import { TextLink } from "@/ui/ButtonLink";
import { StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/values";

import { outcomeOf, outcomesWord, successWord } from "./outcomes";
import { recentRunsQuery } from "./queries";
import classes from "./Workflows.module.css";

/** The runs once the element was in sight. */
function useRunsInSight(workflowId: string): { ref: Ref<HTMLDivElement>; runs: readonly Run[] | undefined } {
  const { ref, entry } = useIntersection<HTMLDivElement>({ rootMargin: "200px" });
  const [wasSeen, setSeen] = useState(false);
  if (entry?.isIntersecting && !wasSeen) setSeen(true);
  const { data } = useQuery({ ...recentRunsQuery(workflowId), enabled: wasSeen });
  return { ref, runs: data };
}

export function LastRun({ workflowId }: { workflowId: string }) {
  const { ref, runs } = useRunsInSight(workflowId);
  const last = runs?.[0];
  return (
    <div ref={ref} className={classes.last}>
      {last ? (
        <>
          <StatusBadge status={last.status} />
          <TextLink to="/runs/$runId" params={{ runId: last.id }} size="sm">
            <Time value={last.startTime} />
          </TextLink>
        </>
      ) : (
        <span className={classes.dim}>{runs ? "Never" : "…"}</span>
      )}
    </div>
  );
}

/** A bar for each run, the newest at the right: full for a success, half for a failure, low for the rest. */
export function RecentRuns({ workflowId }: { workflowId: string }) {
  const { ref, runs } = useRunsInSight(workflowId);
  return (
    <div ref={ref} className={classes.recent}>
      {runs && runs.length > 0 ? (
        <>
          <span className={classes.bars} role="img" aria-label={outcomesWord(runs)}>
            {runs.toReversed().map((run) => (
              <span key={run.id} className={classes.bar} data-outcome={outcomeOf(run)} />
            ))}
          </span>
          <span className={classes.dim}>{successWord(runs)}</span>
        </>
      ) : (
        <span className={classes.dim}>–</span>
      )}
    </div>
  );
}
