/** What a text with expressions gives with the data of the last run, as the API computes it. */
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { api, body } from "@/api/client";

import { evaluates } from "../model/expressions";
import { type Scope, shortened } from "../model/scope";
import type { EditorMode } from "./codemirror";
import classes from "./config.module.css";

const WAIT_MS = 350;
const MAX_SHOWN = 300;

interface ExpressionResultProps {
  text: string;
  mode: EditorMode;
  scope: Scope;
}

export function ExpressionResult({ text, mode, scope }: ExpressionResultProps) {
  const [settled] = useDebouncedValue(text, WAIT_MS);
  const asked = mode === "json" || !evaluates(settled, mode, scope) ? null : { expression: settled, mode };
  const { data, error } = useQuery({
    queryKey: ["expressions", asked, scope],
    queryFn: ({ signal }) => {
      const { expression, mode: as } = asked ?? { expression: "", mode: "template" as const };
      const request = { expression, mode: as, data: scope, executionId: null, nodeId: null, path: "" };
      return body(api.POST("/expressions/evaluate", { body: request, signal }));
    },
    enabled: asked !== null,
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    gcTime: 60_000,
    retry: false,
  });
  if (asked === null || error || !data) return null;
  if (data.error) {
    const { message, line, column } = data.error;
    const at = line && column ? ` (line ${line}, column ${column})` : "";
    return (
      <div className={classes.result} data-failed role="status">
        {message}
        {at}
      </div>
    );
  }
  const { value } = data.value ?? { value: null };
  return (
    <div className={classes.result} role="status">
      <span>Last run: </span>
      <code>{typeof value === "string" ? value.slice(0, MAX_SHOWN) : shortened(value, MAX_SHOWN)}</code>
    </div>
  );
}
