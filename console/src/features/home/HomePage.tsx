/** What happens now: what waits for the person, runs under way, the month, and the newest runs; live. */
import { Stack, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { useLiveRuns } from "@/api/live/useLiveRuns";
import { balanceQuery } from "@/api/queries";
import { RECENT_RUNS, runsQuery } from "@/api/runs";
import { useUser } from "@/api/session";
import { ButtonLink, TextLink } from "@/ui/ButtonLink";
import { formatCount, formatMonth, formatPercent } from "@/ui/format";
import { PageHeader } from "@/ui/PageHeader";
import { RunList } from "@/ui/RunList";
import { Figure, Figures } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { Credits } from "@/ui/values";

import classes from "./Home.module.css";
import { Month } from "./Month";
import { monthQuery, openRunsQuery } from "./queries";
import { UnderWay } from "./UnderWay";
import { WaitsForYou } from "./WaitsForYou";

export function HomePage() {
  const user = useUser();
  const runs = useQuery(runsQuery({ limit: RECENT_RUNS }));
  useLiveRuns();
  return (
    <>
      <PageHeader
        title={`Hello, ${user.name}`}
        actions={<ButtonLink to="/templates">Start from a template</ButtonLink>}
      />
      <Stack gap="lg">
        <WaitsForYou />
        <Numbers />
        <UnderWay />
        <section aria-label="Recent runs">
          <div className={classes.recentHead}>
            <Title order={2}>Recent runs</Title>
            <TextLink to="/runs">All runs</TextLink>
          </div>
          <Loaded
            query={runs}
            isEmpty={({ executions }) => executions.length === 0}
            empty={
              <Empty title="No runs yet" action={<ButtonLink to="/templates">Take a template</ButtonLink>}>
                Take a template and run it: it appears here.
              </Empty>
            }
          >
            {({ executions }) => <RunList runs={executions} />}
          </Loaded>
        </section>
        <Month />
      </Stack>
    </>
  );
}

function Numbers() {
  const balance = useQuery(balanceQuery);
  const stats = useQuery(monthQuery);
  const open = useQuery(openRunsQuery);
  const month = stats.data ? `in ${formatMonth(new Date(stats.data.from))}` : "this month";
  return (
    <Loaded query={balance} rows={2}>
      {({ available, held }) => (
        <Figures>
          <Figure label="Credits available" note={held > 0 ? <Held held={held} /> : "none held by runs"}>
            <Credits value={available} />
          </Figure>
          <Figure label="Runs under way" note={open.data ? waitingNote(open.data.runs) : undefined}>
            {open.data ? `${formatCount(open.data.runs.length)}${open.data.isMore ? "+" : ""}` : "–"}
          </Figure>
          <Figure
            label={`Success ${month}`}
            note={stats.data ? runsWord(stats.data.totalExecutions) : undefined}
          >
            {typeof stats.data?.successRate === "number" ? formatPercent(stats.data.successRate) : "–"}
          </Figure>
          <Figure
            label={`Credits spent ${month}`}
            note={stats.data ? <Added value={stats.data.creditsAdded} /> : undefined}
          >
            {stats.data ? <Credits value={stats.data.creditsUsed} /> : "–"}
          </Figure>
        </Figures>
      )}
    </Loaded>
  );
}

function runsWord(count: number): string {
  return count === 1 ? "1 run" : `${formatCount(count)} runs`;
}

function waitingNote(runs: readonly { status: string }[]): string {
  const waiting = runs.filter(({ status }) => status === "waiting").length;
  return waiting === 0 ? "none waits" : `${formatCount(waiting)} of them ${waiting === 1 ? "waits" : "wait"}`;
}

function Held({ held }: { held: number }) {
  return (
    <>
      <Credits value={held} /> held by runs
    </>
  );
}

function Added({ value }: { value: number }) {
  return (
    <>
      <Credits value={value} /> added
    </>
  );
}
