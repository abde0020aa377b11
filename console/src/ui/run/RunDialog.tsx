/** Starts a run: a form made from the input nodes, what it may cost, and tags to find it by. */
import { Alert, Button, Group, Modal, Stack, TagsInput, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useMemo, useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { useIdempotencyKey } from "@/api/idempotency";
import { keys } from "@/api/keys";
import { validationQuery } from "@/api/validation";
import { useIsDesk } from "@/ui/useIsDesk";
import { readGraph } from "@/ui/graph/graph";
import { ErrorState } from "@/ui/states";

import { CostField, InputTexts } from "./fields";
import { initialTexts, inputFields, inputOf, problemsOf, type Texts } from "./inputs";

export interface RunDialogProps {
  workflow: Pick<Schemas["Workflow"], "id" | "name" | "nodes" | "connections">;
  /** What the form begins with: the input of an earlier run. */
  lastInput?: unknown;
  /** Store what is edited before it runs; false if that failed. */
  save?: () => Promise<boolean>;
  onStarted: (runId: string) => void;
  onClose: () => void;
}

const MAX_TAGS = 10;

export function RunDialog(props: RunDialogProps) {
  const isDesk = useIsDesk();
  return (
    <Modal
      opened
      onClose={props.onClose}
      title={`Run “${props.workflow.name}”`}
      size="lg"
      fullScreen={!isDesk}
    >
      <RunForm {...props} />
    </Modal>
  );
}

/** Starts the run with this input, and refreshes what it changes. */
function useStart({ workflow, save, onStarted }: RunDialogProps) {
  const client = useQueryClient();
  const keyOf = useIdempotencyKey();
  return useMutation({
    mutationFn: async (asked: Pick<Schemas["ExecuteIn"], "input" | "maxCredits" | "tags">) => {
      if (save && !(await save())) throw new Error("The workflow could not be saved, so it was not run.");
      const run = { priority: null, timeout: null, maxQueueSeconds: null, ...asked };
      const params = { path: { workflowId: workflow.id }, header: { "Idempotency-Key": keyOf(run) } };
      return body(api.POST("/workflows/{workflowId}/execute", { params, body: run }));
    },
    onSuccess: ({ executionId }) => {
      void client.invalidateQueries({ queryKey: keys.runs.lists });
      void client.invalidateQueries({ queryKey: keys.credits.all });
      onStarted(executionId);
    },
  });
}

function RunForm(props: RunDialogProps) {
  const { workflow, lastInput, onClose } = props;
  const fields = useMemo(() => inputFields(readGraph(workflow)), [workflow]);
  const check = useQuery(validationQuery(workflow));
  const [texts, setTexts] = useState<Texts>(() => initialTexts(fields, lastInput));
  const [problems, setProblems] = useState<Texts>({});
  const [tags, setTags] = useState<string[]>([]);
  const [most, setMost] = useState<number | null>(null);
  const start = useStart(props);
  const fault = check.data?.errors[0]?.message;

  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    const found = problemsOf(fields, texts);
    setProblems(found);
    if (Object.keys(found).length > 0) return;
    start.mutate({ input: inputOf(fields, texts), maxCredits: most, tags: tags.length > 0 ? tags : null });
  };

  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        {fault ? (
          <Alert color="red" title="This workflow cannot run yet">
            {fault}
          </Alert>
        ) : null}
        {fields.length === 0 ? (
          <Text c="dimmed">This workflow takes no input. Add an Input node to ask for one.</Text>
        ) : null}
        <InputTexts fields={fields} texts={texts} problems={problems} onChange={setTexts} />
        <TagsInput
          label="Tags"
          description="Words to find this run by."
          size="md"
          maxTags={MAX_TAGS}
          value={tags}
          onChange={setTags}
        />
        <CostField worst={check.data?.worstCaseCredits ?? null} most={most} onChange={setMost} />
        {start.isError ? <ErrorState error={start.error} /> : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Not now
          </Button>
          <Button type="submit" loading={start.isPending} disabled={fault !== undefined}>
            Run
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
