/** The graph that a run follows, in the version that it was started with, and the states of its nodes. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import type { FullRun } from "@/api/runs";
import { GraphCanvas } from "@/ui/graph/GraphCanvas";
import { readGraph } from "@/ui/graph/graph";
import { statesOf } from "@/ui/graph/states";
import { Loaded } from "@/ui/states";

import classes from "./RunPage.module.css";

function versionQuery(workflowId: string, number: number) {
  return queryOptions({
    queryKey: [...keys.workflows.versions(workflowId), number],
    queryFn: ({ signal }) => {
      const params = { path: { workflowId, number } };
      return body(api.GET("/workflows/{workflowId}/versions/{number}", { params, signal }));
    },
    staleTime: Number.POSITIVE_INFINITY, // a version never changes
  });
}

interface RunGraphProps {
  run: FullRun;
  selectedId: string | undefined;
  onSelect: (nodeId: string | null) => void;
}

export function RunGraph({ run, selectedId, onSelect }: RunGraphProps) {
  const query = useQuery(versionQuery(run.workflowId, run.workflowVersion));
  const states = useMemo(() => statesOf(run.nodes), [run.nodes]);
  const graph = useMemo(() => (query.data ? readGraph(query.data.version) : null), [query.data]);
  return (
    <Loaded query={query}>
      {() => (
        <div className={classes.graph}>
          {graph ? (
            <GraphCanvas
              graph={graph}
              label={`Graph of ${run.workflowName}`}
              states={states}
              selectedId={selectedId ?? null}
              onSelect={onSelect}
            />
          ) : null}
        </div>
      )}
    </Loaded>
  );
}
