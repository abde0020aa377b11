/** Starts a run: a form made from the input nodes, what it may cost, and tags to find it by. */
import { Button, Group, Modal, NumberInput, Stack, TagsInput, Text, Textarea } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useMemo, useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { useIdempotencyKey } from "@/api/idempotency";
import { keys } from "@/api/keys";
import { balanceQuery } from "@/api/queries";
import { readGraph } from "@/ui/graph/graph";
import { ErrorState } from "@/ui/states";
import { Credits } from "@/ui/values";

import { inputFields, type InputField, inputOf, nameOf, problemsOf, type Texts } from "./inputs";

type Workflow = Pick<Schemas["Workflow"], "id" | "name" | "nodes" | "connections" | "version">;

interface RunDialogProps {
  workflow: Workflow;
  onStarted: (runId: string) => void;
  onClose: () => void;
}

const MAX_TAGS = 10;

function useWorstCase({ id, version, nodes, connections }: Workflow) {
  return useQuery({
    queryKey: [...keys.workflows.one(id), "check", version],
    queryFn: ({ signal }) => body(api.POST("/workflows/validate", { body: { nodes, connections }, signal })),
  });
}

export function RunDialog({ workflow, onStarted, onClose }: RunDialogProps) {
  const fields = useMemo(() => inputFields(readGraph(workflow)), [workflow]);
  const client = useQueryClient();
  const keyOf = useIdempotencyKey();
  const [texts, setTexts] = useState<Texts>({});
  const [problems, setProblems] = useState<Texts>({});
  const [tags, setTags] = useState<string[]>([]);
  const [most, setMost] = useState<string | number>("");

  const start = useMutation({
    mutationFn: () => {
      const input = inputOf(fields, texts);
      const maxCredits = most === "" ? null : Number(most);
      const usual = { priority: null, timeout: null, maxQueueSeconds: null };
      const run = { ...usual, input, maxCredits, tags: tags.length > 0 ? tags : null };
      const params = { path: { workflowId: workflow.id }, header: { "Idempotency-Key": keyOf(run) } };
      return body(api.POST("/workflows/{workflowId}/execute", { params, body: run }));
    },
    onSuccess: ({ executionId }) => {
      void client.invalidateQueries({ queryKey: keys.runs.lists });
      void client.invalidateQueries({ queryKey: keys.credits.all });
      onStarted(executionId);
    },
  });

  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    const found = problemsOf(fields, texts);
    setProblems(found);
    if (Object.keys(found).length === 0) start.mutate();
  };

  return (
    <Modal opened onClose={onClose} title={`Run “${workflow.name}”`} size="lg">
      <form onSubmit={submit} noValidate>
        <Stack>
          {fields.length === 0 ? <Text c="dimmed">This workflow takes no input.</Text> : null}
          {fields.map((field, index) => (
            <Field
              key={nameOf(field)}
              field={field}
              isFirst={index === 0}
              value={texts[nameOf(field)] ?? ""}
              error={problems[nameOf(field)]}
              onChange={(text) => setTexts({ ...texts, [nameOf(field)]: text })}
            />
          ))}
          <TagsInput
            label="Tags"
            description="Words to find this run by."
            size="md"
            maxTags={MAX_TAGS}
            value={tags}
            onChange={setTags}
          />
          <Cost workflow={workflow} most={most} onChange={setMost} />
          {start.isError ? <ErrorState error={start.error} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Not now
            </Button>
            <Button type="submit" loading={start.isPending}>
              Run
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

interface FieldProps {
  field: InputField;
  isFirst: boolean;
  value: string;
  error: string | undefined;
  onChange: (text: string) => void;
}

const HINTS: Partial<Record<InputField["type"], string>> = {
  json: "JSON",
  number: "A number",
  csv: "CSV with a header line",
  file: "The text of the file",
};

function Field({ field, isFirst, value, error, onChange }: FieldProps) {
  const hints = [
    HINTS[field.type],
    field.fallback === null ? null : `Without it: ${field.fallback.slice(0, 80)}`,
  ];
  const isNumber = field.type === "number";
  return (
    <Textarea
      label={field.label}
      description={hints.filter(Boolean).join(". ") || undefined}
      size="md"
      data-autofocus={isFirst || undefined}
      required={field.required}
      withAsterisk={field.required}
      autosize
      minRows={isNumber ? 1 : 3}
      maxRows={isNumber ? 1 : 12}
      inputMode={isNumber ? "decimal" : undefined}
      {...(field.type === "json" || field.type === "csv" ? { ff: "monospace" } : {})}
      value={value}
      error={error}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

interface CostProps {
  workflow: Workflow;
  most: string | number;
  onChange: (most: string | number) => void;
}

function Cost({ workflow, most, onChange }: CostProps) {
  const check = useWorstCase(workflow);
  const balance = useQuery(balanceQuery);
  const worst = check.data?.worstCaseCredits;
  return (
    <NumberInput
      label="The most that it may cost"
      description={
        <>
          {typeof worst === "number" ? (
            <>
              Without a limit this run holds <Credits value={worst} unit />, its worst case.{" "}
            </>
          ) : null}
          {balance.data ? (
            <>
              You have <Credits value={balance.data.available} unit />.
            </>
          ) : null}
        </>
      }
      size="md"
      min={0}
      decimalScale={2}
      allowNegative={false}
      placeholder="Its worst case"
      value={most}
      onChange={onChange}
    />
  );
}
