/** What the API finds wrong with the graph, and what a run may cost, while it is edited. */
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import type { Schemas } from "@/api/client";
import { validationQuery } from "@/api/validation";
import type { Mark } from "@/ui/graph/flow";
import type { Graph } from "@/ui/graph/graph";

import { apiGraph } from "../model/api-graph";

const WAIT_MS = 400;

export type Finding = Schemas["LintFinding"];

export interface Validation {
  errors: readonly Finding[];
  warnings: readonly Finding[];
  worstCaseCredits: number | null;
  marks: ReadonlyMap<string, Mark>;
  isPending: boolean;
}

function marksOf(report: Schemas["Report"] | undefined): ReadonlyMap<string, Mark> {
  const marks = new Map<string, Mark>();
  for (const { nodeId } of report?.warnings ?? []) if (nodeId) marks.set(nodeId, "warning");
  for (const { nodeId } of report?.errors ?? []) if (nodeId) marks.set(nodeId, "error");
  return marks;
}

export function useValidation(graph: Graph): Validation {
  const document = useMemo(() => apiGraph(graph, { withPositions: false }), [graph]);
  const [settled] = useDebouncedValue(document, WAIT_MS);
  const { data, isFetching } = useQuery({ ...validationQuery(settled), placeholderData: keepPreviousData });
  return useMemo(
    () => ({
      errors: data?.errors ?? [],
      warnings: data?.warnings ?? [],
      worstCaseCredits: data?.worstCaseCredits ?? null,
      marks: marksOf(data),
      isPending: isFetching || data === undefined,
    }),
    [data, isFetching],
  );
}
