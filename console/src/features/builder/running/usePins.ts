/** The data with which a node is tried: from the last run at first, then as edited, kept for each node. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import { keepPins, pinsOf } from "@/api/pins";
import type { FullRun } from "@/api/runs";
import type { Graph } from "@/ui/graph/graph";

import { firstInLoop, firstPath, type PinField, pinText, type Texts } from "../model/pins";

interface Read {
  text: string;
  /** Whether the value is so large that only its beginning is here. */
  isCut: boolean;
}

/** The value that a field had in a run. Outputs outside of loops are in the run; the rest is read step by step. */
async function readField(run: FullRun, graph: Graph, nodeId: string, field: PinField, signal: AbortSignal) {
  if (field.kind === "input") return { text: pinText(run.input), isCut: false };
  const known = run.nodes.find((node) => node.nodeId === field.id);
  if (field.kind === "output" && known?.parentId === null)
    return { text: pinText(known.output), isCut: false };
  const from = field.kind === "item" ? firstInLoop(graph, nodeId) : field.id;
  if (from === null || !run.nodes.some((node) => node.nodeId === from)) return { text: "", isCut: false };
  const params = {
    path: { executionId: run.id, nodeId: from, data: field.kind === "item" ? "input" : "output" },
    query: { path: firstPath(graph, from), limit: 1000 },
  } as const;
  const { value, cut } = await body(
    api.GET("/executions/{executionId}/steps/{nodeId}/{data}", { params, signal }),
  );
  return { text: pinText(value), isCut: cut.length > 0 };
}

function lastDataQuery(run: FullRun | undefined, graph: Graph, nodeId: string, fields: readonly PinField[]) {
  const names = fields.map(({ name }) => name);
  return queryOptions({
    queryKey: [...keys.runs.one(run?.id ?? ""), "pins", run?.seq ?? 0, nodeId, names],
    enabled: run !== undefined,
    queryFn: async ({ signal }): Promise<Record<string, Read>> => {
      if (!run) return {};
      const read = fields.map(async (field) => {
        const found = await readField(run, graph, nodeId, field, signal).catch(() => ({
          text: "",
          isCut: false,
        }));
        return [field.name, found] as const;
      });
      return Object.fromEntries(await Promise.all(read));
    },
  });
}

export interface Pins {
  texts: Texts;
  /** The fields of which the last run's value is longer than what is here. */
  cut: ReadonlySet<string>;
  isLoading: boolean;
  isEdited: boolean;
  edit: (name: string, text: string) => void;
  /** Take the last run's data again. */
  reset: () => void;
}

export function usePins(
  workflowId: string,
  graph: Graph,
  nodeId: string,
  fields: readonly PinField[],
  run: FullRun | undefined,
): Pins {
  const last = useQuery(lastDataQuery(run, graph, nodeId, fields));
  const [edited, setEdited] = useState<Texts>(() => pinsOf(workflowId, nodeId));
  const change = (next: Texts) => {
    setEdited(next);
    keepPins(workflowId, nodeId, next);
  };
  const textOf = (name: string) => edited[name] ?? last.data?.[name]?.text ?? "";
  const isCut = (name: string) => edited[name] === undefined && last.data?.[name]?.isCut === true;
  return {
    texts: Object.fromEntries(fields.map(({ name }) => [name, textOf(name)])),
    cut: new Set(fields.map(({ name }) => name).filter(isCut)),
    isLoading: last.isLoading,
    isEdited: Object.keys(edited).length > 0,
    edit: (name, text) => change({ ...edited, [name]: text }),
    reset: () => change({}),
  };
}
