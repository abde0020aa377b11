/** The credits of each day of this month, with the runs of the day. */
import { useQuery } from "@tanstack/react-query";

import type { Schemas } from "@/api/client";
import { formatCount, formatCredits, formatDate, formatMonth } from "@/ui/format";
import { Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";

import classes from "./Home.module.css";
import { heights } from "./month";
import { monthQuery } from "./queries";

export function Month() {
  const month = useQuery(monthQuery);
  if (month.data?.totalExecutions === 0) return null;
  const name = month.data ? ` in ${formatMonth(new Date(month.data.from))}` : "";
  return (
    <Section title={`Credits by day${name}`}>
      <Loaded query={month} rows={2}>
        {({ series }) => <Days series={series} />}
      </Loaded>
    </Section>
  );
}

function Days({ series }: { series: readonly Schemas["Bar"][] }) {
  const tall = heights(series.map(({ creditsUsed }) => creditsUsed));
  return (
    <>
      <ol className={classes.days}>
        {series.map((day, index) => (
          <li key={day.start} className={classes.day} title={describe(day)}>
            <span className={classes.hidden}>{describe(day)}</span>
            <span aria-hidden className={classes.bar} style={{ height: `${tall[index] ?? 0}%` }} />
          </li>
        ))}
      </ol>
      <div className={classes.axis} aria-hidden>
        <span>{series[0] ? formatDate(new Date(series[0].start)) : null}</span>
        <span>Today</span>
      </div>
    </>
  );
}

function describe({ start, creditsUsed, executions, failed }: Schemas["Bar"]): string {
  const runs = `${formatCount(executions)} ${executions === 1 ? "run" : "runs"}`;
  const failures = failed > 0 ? `, ${formatCount(failed)} failed` : "";
  return `${formatDate(new Date(start))}: ${formatCredits(creditsUsed)} credits, ${runs}${failures}`;
}
