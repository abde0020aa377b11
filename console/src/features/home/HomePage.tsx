/** What happens now: credits, the last month, and the newest runs. */
import { Stack } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import { balanceQuery } from "@/api/queries";
import { runsQuery } from "@/api/runs";
import { useUser } from "@/api/session";
import { ButtonLink } from "@/ui/ButtonLink";
import { formatCount, formatPercent } from "@/ui/format";
import { PageHeader } from "@/ui/PageHeader";
import { RunList } from "@/ui/RunList";
import { Figure, Figures, Section } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { Credits } from "@/ui/values";

const monthQuery = queryOptions({
  queryKey: keys.usage("month"),
  queryFn: ({ signal }) => body(api.GET("/usage/stats", { params: { query: { period: "month" } }, signal })),
});

export function HomePage() {
  const user = useUser();
  const balance = useQuery(balanceQuery);
  const month = useQuery(monthQuery);
  const runs = useQuery(runsQuery({ limit: 10 }));
  return (
    <>
      <PageHeader
        title={`Hello, ${user.name}`}
        actions={<ButtonLink to="/templates">Start from a template</ButtonLink>}
      />
      <Stack gap="xl">
        <Loaded query={balance} rows={2}>
          {({ available, held }) => (
            <Figures>
              <Figure label="Credits available" note={held > 0 ? <Credits value={held} unit /> : undefined}>
                <Credits value={available} />
              </Figure>
              {month.data ? (
                <>
                  <Figure label="Runs this month">{formatCount(month.data.totalExecutions)}</Figure>
                  <Figure label="Success this month">
                    {month.data.successRate === null ? "–" : formatPercent(month.data.successRate)}
                  </Figure>
                  <Figure label="Credits spent this month">
                    <Credits value={month.data.creditsUsed} />
                  </Figure>
                </>
              ) : null}
            </Figures>
          )}
        </Loaded>
        <Section title="Recent runs">
          <Loaded
            query={runs}
            isEmpty={({ executions }) => executions.length === 0}
            empty={<Empty title="No runs yet">Take a template and run it: it appears here.</Empty>}
          >
            {({ executions }) => <RunList runs={executions} />}
          </Loaded>
        </Section>
      </Stack>
    </>
  );
}
