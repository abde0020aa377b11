/** Queues with their oldest job, and workers with their last word; looked at again every few seconds. */
import { Alert, Stack } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { type Column, DataList } from "@/ui/DataList";
import { formatCount, formatDuration } from "@/ui/format";
import { Section } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/values";

const REFRESH_MS = 5000;

const queuesQuery = queryOptions({
  queryKey: keys.admin.one("queues"),
  queryFn: ({ signal }) => body(api.GET("/admin/queues", { signal })),
  refetchInterval: REFRESH_MS,
});

const QUEUES: Column<Schemas["Queue"]>[] = [
  { key: "name", header: "Queue", heading: true, cell: (queue) => queue.name },
  { key: "status", header: "State", cell: (queue) => <StatusBadge status={queue.status} /> },
  { key: "depth", header: "Waiting", numeric: true, cell: (queue) => formatCount(queue.depth) },
  {
    key: "oldest",
    header: "Oldest",
    cell: ({ oldestSeconds }) => (oldestSeconds === null ? "–" : formatDuration(oldestSeconds)),
  },
  { key: "workers", header: "Workers", numeric: true, cell: (queue) => formatCount(queue.workers) },
];

const WORKERS: Column<Schemas["BusyWorker"]>[] = [
  { key: "name", header: "Worker", heading: true, cell: (worker) => worker.name },
  { key: "status", header: "State", cell: (worker) => <StatusBadge status={worker.status} /> },
  { key: "queues", header: "Queues", cell: (worker) => worker.queues.join(", ") },
  { key: "running", header: "Runs", numeric: true, cell: (worker) => formatCount(worker.running) },
  { key: "message", header: "Last message", cell: (worker) => <Time value={worker.lastMessageAt} /> },
  { key: "seen", header: "Last seen", cell: (worker) => <Time value={worker.seenAt} /> },
];

export function Queues() {
  const query = useQuery(queuesQuery);
  return (
    <Loaded query={query}>
      {({ beat, queues, workers }) => (
        <Stack gap="xl">
          {beat === "up" ? null : (
            <Alert color="red" title="Beat is down">
              Nothing periodic runs: timers, deliveries after a failure, reconciliation. Start it.
            </Alert>
          )}
          <Section title="Queues">
            <DataList label="Queues" rows={queues} columns={QUEUES} rowKey={(queue) => queue.name} />
          </Section>
          <Section title="Workers">
            {workers.length === 0 ? (
              <Empty title="No workers">Runs wait until one starts.</Empty>
            ) : (
              <DataList
                label="Workers"
                rows={workers}
                columns={WORKERS}
                rowKey={(worker) => worker.process}
              />
            )}
          </Section>
        </Stack>
      )}
    </Loaded>
  );
}
