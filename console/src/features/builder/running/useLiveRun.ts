/** The run that the canvas shows, followed while it goes on. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";

import { useRunStream } from "@/api/live/useRunStream";
import { type FullRun, isEnded, runLogQuery, runQuery } from "@/api/runs";
import { type NodeStates, statesOf } from "@/ui/graph/states";

export interface LiveRun {
  run: FullRun | undefined;
  error: Error | null;
  states: NodeStates | undefined;
}

const NO_RUN = "";

export function useLiveRun(runId: string | null): LiveRun {
  const id = runId ?? NO_RUN;
  const client = useQueryClient();
  const run = useQuery({ ...runQuery(id), enabled: runId !== null });
  const log = useQuery({ ...runLogQuery(id, client), enabled: runId !== null });
  const ended = runId === null || (run.data !== undefined && isEnded(run.data.status));
  useRunStream(id, runId === null ? undefined : log.data, ended);
  const data = runId === null ? undefined : run.data;
  const states = useMemo(() => (data ? statesOf(data.nodes) : undefined), [data]);
  return { run: data, error: run.error, states };
}
