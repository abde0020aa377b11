/** The graph that a run follows, in the version that it was started with, and the states of its nodes. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import { ApiError } from "@/api/problem";
import type { FullRun } from "@/api/runs";
import { GraphCanvas } from "@/ui/graph/GraphCanvas";
import { type Graph, readGraph } from "@/ui/graph/graph";
import { statesOf } from "@/ui/graph/states";
import { Loaded } from "@/ui/states";

import classes from "./RunPage.module.css";
import { trialGraph } from "./trial";

function versionQuery(workflowId: string, number: number) {
  return queryOptions({
    queryKey: [...keys.workflows.versions(workflowId), number],
    queryFn: ({ signal }) => {
      const params = { path: { workflowId, number } };
      return body(api.GET("/workflows/{workflowId}/versions/{number}", { params, signal }));
    },
    staleTime: Number.POSITIVE_INFINITY, // a version that a run used never changes
  });
}

interface RunGraphProps {
  run: FullRun;
  selectedId: string | undefined;
  onSelect: (nodeId: string | null) => void;
}

export function RunGraph(props: RunGraphProps) {
  const { workflowVersion } = props.run;
  return workflowVersion === null ? (
    <UnlistedGraph {...props} />
  ) : (
    <VersionGraph {...props} number={workflowVersion} />
  );
}

/** Of a version that is not in the history, or whose workflow is deleted: the nodes as the run names them. */
function UnlistedGraph(props: RunGraphProps) {
  const { run } = props;
  const graph = useMemo(() => trialGraph(run), [run]);
  return <States {...props} graph={graph} />;
}

function VersionGraph({ number, ...props }: RunGraphProps & { number: number }) {
  const query = useQuery(versionQuery(props.run.workflowId, number));
  const graph = useMemo(() => (query.data ? readGraph(query.data.version) : null), [query.data]);
  if (query.error instanceof ApiError && query.error.status === 404) return <UnlistedGraph {...props} />;
  return <Loaded query={query}>{() => (graph ? <States {...props} graph={graph} /> : null)}</Loaded>;
}

function States({ run, graph, selectedId, onSelect }: RunGraphProps & { graph: Graph }) {
  const states = useMemo(() => statesOf(run.nodes), [run.nodes]);
  return (
    <div className={classes.graph}>
      <GraphCanvas
        graph={graph}
        label={`Graph of ${run.workflowName}`}
        states={states}
        selectedId={selectedId ?? null}
        onSelect={onSelect}
      />
    </div>
  );
}
