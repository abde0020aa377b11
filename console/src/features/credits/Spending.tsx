/** What was spent and added in a period, as a chart that loads when it is needed. */
import { SegmentedControl, Skeleton } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { viewersZone } from "@/ui/format";
import { Section } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";

const Chart = lazy(async () => ({ default: (await import("@/ui/charts/BarChart")).BarChart }));

type Period = Schemas["Stats"]["period"];

const PERIODS: { value: Period; label: string }[] = [
  { value: "day", label: "24 hours" },
  { value: "week", label: "7 days" },
  { value: "this_month", label: "This month" },
  { value: "month", label: "30 days" },
  { value: "year", label: "12 months" },
];

const statsQuery = (period: Period) =>
  queryOptions({
    queryKey: keys.usage.of(period),
    queryFn: ({ signal }) => {
      const query = { period, timeZone: viewersZone() };
      return body(api.GET("/usage/stats", { params: { query }, signal }));
    },
  });

export function Spending() {
  const [period, setPeriod] = useState<Period>("month");
  const query = useQuery(statsQuery(period));
  return (
    <Section
      title="Spending"
      actions={
        <SegmentedControl
          size="xs"
          aria-label="Period"
          data={PERIODS}
          value={period}
          onChange={(value) => setPeriod(value)}
        />
      }
    >
      <Loaded
        query={query}
        isEmpty={(stats) => stats.series.every((bar) => bar.creditsUsed === 0)}
        empty={<Empty title="Nothing spent in this time" />}
      >
        {(stats) => (
          <Suspense fallback={<Skeleton height={220} />}>
            <Chart
              label="Credits spent"
              unit="credits"
              points={stats.series.map((bar) => ({ at: bar.start, value: bar.creditsUsed }))}
            />
          </Suspense>
        )}
      </Loaded>
    </Section>
  );
}
