/** Chooses one of the user's workflows. */
import { Select } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";

import { useEditor } from "../state/context";
import type { FieldProps } from "./fields";

const workflowsQuery = queryOptions({
  queryKey: keys.workflows.list({ limit: 100 }),
  queryFn: ({ signal }) => body(api.GET("/workflows", { params: { query: { limit: 100 } }, signal })),
});

export function WorkflowSelect({ field, value, onChange, error, isReadOnly }: FieldProps) {
  const { workflowId } = useEditor();
  const { data } = useQuery(workflowsQuery);
  const others = (data?.workflows ?? []).filter(({ id }) => id !== workflowId);
  const chosen = typeof value === "string" ? value : null;
  const options = others.map(({ id, name }) => ({ value: id, label: name }));
  const isKnown = chosen === null || options.some((option) => option.value === chosen);
  return (
    <Select
      label={field.title}
      description={field.help || null}
      required={field.required}
      error={error}
      searchable
      placeholder="Choose a workflow"
      nothingFoundMessage="You have no other workflow"
      data={isKnown ? options : [{ value: chosen, label: chosen }, ...options]}
      value={chosen}
      readOnly={isReadOnly}
      onChange={(id) => onChange(id ?? undefined)}
    />
  );
}
