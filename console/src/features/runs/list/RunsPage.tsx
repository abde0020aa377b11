/** The caller's runs: found by state, workflow, time, words and tag, live, and changed many at once. */
import { Stack } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import { useLiveRuns } from "@/api/live/useLiveRuns";
import { isEnded, type Run } from "@/api/runs";
import { ButtonLink } from "@/ui/ButtonLink";
import { choiceOf } from "@/ui/choice";
import { PageHeader } from "@/ui/PageHeader";
import { RunList } from "@/ui/RunList";
import { ShowMore } from "@/ui/ShowMore";
import { Empty, Loaded } from "@/ui/states";

import { BulkBar } from "./BulkBar";
import { isFiltered, type RunFilter, toApi } from "./filter";
import { FilterBar } from "./FilterBar";

const route = getRouteApi("/shell/runs");
const PAGE = 50;

function runsQuery(filter: RunFilter) {
  return {
    queryKey: keys.runs.list({ ...filter, limit: PAGE }),
    initialPageParam: undefined as string | undefined,
    queryFn: ({ signal, pageParam }: { signal: AbortSignal; pageParam: string | undefined }) => {
      const page = { limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) };
      const params = { query: { ...toApi(filter, new Date()), ...page } };
      return body(api.GET("/executions", { params, signal }));
    },
    getNextPageParam: (page: { nextCursor: string | null }) => page.nextCursor ?? undefined,
  };
}

export function RunsPage() {
  const filter = route.useSearch();
  const runs = useInfiniteQuery(runsQuery(filter));
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  useLiveRuns();
  const loaded = runs.data?.pages.flatMap((page) => page.executions) ?? [];
  const selected = loaded.filter(({ id }) => chosen.has(id)); // what the filter hides is not changed
  const choice = choiceOf<Run>({
    rows: loaded,
    rowKey: ({ id }) => id,
    nameOf: ({ workflowName, status }) => `${workflowName}, ${status}`,
    chosen,
    onChange: setChosen,
  });
  return (
    <>
      <PageHeader title="Runs" description="Each time that a workflow worked." />
      <FilterBar />
      <Loaded
        query={runs}
        isEmpty={({ pages }) => pages.every((page) => page.executions.length === 0)}
        empty={<NoRuns isFiltered={isFiltered(filter)} />}
      >
        {() => (
          <Stack>
            <RunList runs={loaded} choice={choice} />
            <ShowMore pages={runs} />
          </Stack>
        )}
      </Loaded>
      <BulkBar
        cancellable={selected.filter(({ status }) => !isEnded(status)).map(({ id }) => id)}
        retryable={selected.filter(isRetryable).map(({ id }) => id)}
        chosen={selected.length}
        filter={filter}
        hasMore={runs.hasNextPage}
        onDone={() => setChosen(new Set())}
      />
    </>
  );
}

function isRetryable({ status }: Run): boolean {
  return status === "failed" || status === "cancelled";
}

function NoRuns({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered) {
    return (
      <Empty
        title="No run is like that"
        action={
          <ButtonLink to="/runs" search={{}} variant="default">
            Show all runs
          </ButtonLink>
        }
      />
    );
  }
  return (
    <Empty title="No runs yet" action={<ButtonLink to="/workflows">Go to the workflows</ButtonLink>}>
      A run appears here as soon as you start a workflow.
    </Empty>
  );
}
