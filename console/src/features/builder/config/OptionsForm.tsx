/** The options that every node may have besides its config: attempts, limits, and what a failure means. */
import { Fieldset, Stack } from "@mantine/core";

import type { GraphNode } from "@/ui/graph/graph";

import { updateNode } from "../model/edits";
import { fieldsOf } from "../model/schema-form";
import { useEditor } from "../state/context";
import { FormField } from "./fields";

const FOR_ATTEMPTS = new Set(["retry", "onCrash"]);

export function OptionsForm({ node, makesAttempts }: { node: GraphNode; makesAttempts: boolean }) {
  const { catalog, editGraph, isReadOnly } = useEditor();
  const schema = catalog.document.options;
  const properties = (schema.properties ?? {}) as Record<string, Record<string, unknown>>;
  const fields = fieldsOf(schema, node).filter(
    ({ name }) => makesAttempts || !FOR_ATTEMPTS.has(name) || node[name] !== undefined,
  );
  const set = (name: string, value: unknown) =>
    editGraph((now) => updateNode(now, node.id, { [name]: value }), { key: `${name} ${node.id}` });
  return (
    <Stack gap="md">
      {fields.map((field) => {
        if (field.name !== "retry") {
          return (
            <FormField
              key={field.name}
              field={field}
              value={node[field.name]}
              onChange={(value) => set(field.name, value)}
              scope={{}}
              isReadOnly={isReadOnly}
            />
          );
        }
        const retry = (node.retry ?? {}) as Record<string, unknown>;
        return (
          <Fieldset key={field.name} legend={field.title} p="sm">
            <Stack gap="sm">
              {fieldsOf(properties.retry ?? {}, retry).map((part) => (
                <FormField
                  key={part.name}
                  field={part}
                  value={retry[part.name]}
                  scope={{}}
                  isReadOnly={isReadOnly}
                  onChange={(value) => {
                    const entries = Object.entries({ ...retry, [part.name]: value }).filter(
                      ([, given]) => given !== undefined,
                    );
                    set("retry", entries.length > 0 ? Object.fromEntries(entries) : undefined);
                  }}
                />
              ))}
            </Stack>
          </Fieldset>
        );
      })}
    </Stack>
  );
}
