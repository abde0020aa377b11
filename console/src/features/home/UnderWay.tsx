/** The runs that work at this moment, with how far they are. */
import { Progress } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import type { Run } from "@/api/runs";
import { TextLink } from "@/ui/ButtonLink";
import { Section } from "@/ui/Section";
import { StatusBadge } from "@/ui/StatusBadge";

import classes from "./Home.module.css";
import { openRunsQuery } from "./queries";

const SHOWN = 5;

export function UnderWay() {
  const { data } = useQuery(openRunsQuery);
  const working = (data?.runs ?? []).filter(({ status }) => status !== "waiting");
  if (working.length === 0) return null;
  return (
    <Section
      title="Under way"
      actions={
        working.length > SHOWN ? (
          <TextLink to="/runs" search={{ status: "running" }}>
            All of them
          </TextLink>
        ) : null
      }
    >
      <ul className={classes.working}>
        {working.slice(0, SHOWN).map((run) => (
          <li key={run.id}>
            <Working run={run} />
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Working({ run }: { run: Run }) {
  return (
    <div className={classes.run}>
      <TextLink to="/runs/$runId" params={{ runId: run.id }} fw={600} className={classes.runName ?? ""}>
        {run.workflowName}
      </TextLink>
      <StatusBadge status={run.status} />
      <Progress
        value={run.progress}
        size="sm"
        className={classes.progress ?? ""}
        aria-label={`${run.workflowName}: ${run.progress} percent done`}
      />
      <span className={classes.steps}>{`${run.progress}% done`}</span>
    </div>
  );
}
