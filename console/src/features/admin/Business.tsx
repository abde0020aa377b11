/** Users, revenue and runs: totals now, and their course. */
import { SegmentedControl, Skeleton, Stack } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { formatCount, formatPercent } from "@/ui/format";
import { Figure, Figures, Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";
import { Money } from "@/ui/values";

import classes from "./admin.module.css";

const Chart = lazy(async () => ({ default: (await import("@/ui/charts/BarChart")).BarChart }));

type Totals = Schemas["Figures"];
type Period = "day" | "week" | "month" | "year";

const PERIODS: { value: Period; label: string }[] = [
  { value: "day", label: "Days" },
  { value: "week", label: "Weeks" },
  { value: "month", label: "Months" },
  { value: "year", label: "Years" },
];

const COURSES: { label: string; unit: string; value: (totals: Totals) => number }[] = [
  { label: "Sign-ups", unit: "users", value: (totals) => totals.signUps },
  { label: "Revenue of plans", unit: "dollars", value: (totals) => totals.subscriptionRevenueCents / 100 },
  { label: "Revenue of credits", unit: "dollars", value: (totals) => totals.packRevenueCents / 100 },
  { label: "Credits sold", unit: "credits", value: (totals) => totals.creditsSold },
  { label: "Credits used", unit: "credits", value: (totals) => totals.creditsUsed },
  { label: "Runs", unit: "runs", value: (totals) => totals.runs },
];

const statsQuery = queryOptions({
  queryKey: keys.admin.one("stats"),
  queryFn: ({ signal }) => body(api.GET("/admin/stats", { signal })),
});

const analyticsQuery = (period: Period) =>
  queryOptions({
    queryKey: keys.admin.one("analytics", { period }),
    queryFn: ({ signal }) => body(api.GET("/admin/analytics", { params: { query: { period } }, signal })),
  });

export function Business() {
  const stats = useQuery(statsQuery);
  return (
    <Stack gap="xl">
      <Loaded query={stats} rows={2}>
        {(business) => (
          <Figures>
            <Figure label="Users" note={`${formatCount(business.newUsers)} new in ${business.days} days`}>
              {formatCount(business.users)}
            </Figure>
            <Figure label="Active users" note={`in ${business.days} days`}>
              {formatCount(business.activeUsers)}
            </Figure>
            <Figure label="Revenue a month">
              <Money cents={business.mrrCents} />
            </Figure>
            <Figure label="Revenue a year">
              <Money cents={business.arrCents} />
            </Figure>
            <Figure label="Churn">{rate(business.churnRate)}</Figure>
            <Figure label="Conversion">{rate(business.conversionRate)}</Figure>
          </Figures>
        )}
      </Loaded>
      <Courses />
    </Stack>
  );
}

function rate(value: number | null): string {
  return value === null ? "–" : formatPercent(value);
}

/** A day as the time at which the viewer's begins: without one it is read as UTC's, the day before in the west. */
const startOf = (day: string) => `${day}T00:00:00`;

function Courses() {
  const [period, setPeriod] = useState<Period>("day");
  const query = useQuery(analyticsQuery(period));
  return (
    <Section
      title="Over time"
      actions={
        <SegmentedControl size="xs" aria-label="Period" data={PERIODS} value={period} onChange={setPeriod} />
      }
    >
      <Loaded query={query}>
        {({ series }) => (
          <div className={classes.charts}>
            {COURSES.map(({ label, unit, value }) => (
              <section key={label} aria-label={label}>
                <h3>{label}</h3>
                <Suspense fallback={<Skeleton height={160} />}>
                  <Chart
                    label={label}
                    unit={unit}
                    height={160}
                    points={series.map((totals) => ({ at: startOf(totals.start), value: value(totals) }))}
                  />
                </Suspense>
              </section>
            ))}
          </div>
        )}
      </Loaded>
    </Section>
  );
}
