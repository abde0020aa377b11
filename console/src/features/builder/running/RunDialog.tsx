/** Starts a run, with a form made from the input nodes. */
import { Alert, Button, FileButton, Group, Modal, NumberInput, Stack, Text, Textarea } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";

import { api, body } from "@/api/client";
import { useIsDesk } from "@/ui/DataList";
import { ErrorState } from "@/ui/states";
import { Credits } from "@/ui/values";

import { initialText, type RunField, runFields, runInput } from "../model/run-form";
import { useEditor } from "../state/context";
import type { Validation } from "../state/useValidation";

interface RunDialogProps {
  opened: boolean;
  onClose: () => void;
  validation: Validation;
  lastInput: unknown;
  /** Store what is edited; false if that failed. */
  save: () => Promise<boolean>;
  onStarted: (runId: string) => void;
}

export function RunDialog(props: RunDialogProps) {
  const isDesk = useIsDesk();
  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title="Run this workflow"
      fullScreen={!isDesk}
      size="lg"
    >
      <RunForm {...props} />
    </Modal>
  );
}

function RunForm({ onClose, validation, lastInput, save, onStarted }: RunDialogProps) {
  const { graph, workflowId } = useEditor();
  const fields = runFields(graph);
  const [texts, setTexts] = useState<Record<string, string>>(() =>
    Object.fromEntries(fields.map((field) => [field.key, initialText(field, lastInput)])),
  );
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [maxCredits, setMaxCredits] = useState<number | null>(null);

  const start = useMutation({
    mutationFn: async (input: unknown) => {
      if (!(await save())) throw new Error("The workflow could not be saved, so it was not run.");
      const params = { path: { workflowId } };
      return body(
        api.POST("/workflows/{workflowId}/execute", { params, body: { input, maxCredits } as never }),
      );
    },
    onSuccess: ({ id }) => {
      onStarted(id);
      onClose();
    },
  });

  function submit(event: SubmitEvent) {
    event.preventDefault();
    const result = runInput(fields, texts);
    setErrors("errors" in result ? result.errors : {});
    if ("input" in result) start.mutate(result.input);
  }

  return (
    <form onSubmit={submit}>
      <Stack>
        {validation.errors.length > 0 ? (
          <Alert color="red" title="This workflow cannot run yet">
            {validation.errors[0]?.message}
          </Alert>
        ) : null}
        {fields.length === 0 ? (
          <Text c="dimmed">This workflow takes no input. Add an Input node to ask for one.</Text>
        ) : null}
        {fields.map((field) => (
          <InputField
            key={field.key}
            field={field}
            text={texts[field.key] ?? ""}
            error={errors[field.key]}
            onChange={(text) => setTexts((now) => ({ ...now, [field.key]: text }))}
          />
        ))}
        <NumberInput
          label="Most credits"
          description={
            <>
              The run stops and asks you when they are used up. It costs at most{" "}
              {validation.worstCaseCredits === null ? (
                "–"
              ) : (
                <Credits value={validation.worstCaseCredits} unit />
              )}
              .
            </>
          }
          placeholder={validation.worstCaseCredits === null ? "" : String(validation.worstCaseCredits)}
          min={0}
          hideControls
          value={maxCredits ?? ""}
          onChange={(value) => setMaxCredits(value === "" ? null : Number(value))}
        />
        {start.error ? <ErrorState error={start.error} /> : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Not now
          </Button>
          <Button type="submit" loading={start.isPending} disabled={validation.errors.length > 0}>
            Run
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

const HINTS: Record<RunField["inputType"], string> = {
  text: "Text",
  json: '{"name": "value"}',
  number: "12.5",
  file: "Text of the file",
  csv: "name,amount\nAda,12",
  any: "Text or JSON",
};

interface InputFieldProps {
  field: RunField;
  text: string;
  error: string | undefined;
  onChange: (text: string) => void;
}

function InputField({ field, text, error, onChange }: InputFieldProps) {
  const takesFile = field.inputType === "file" || field.inputType === "csv";
  return (
    <Stack gap="xs">
      <Textarea
        label={field.label}
        required={field.required}
        withAsterisk={field.required}
        placeholder={HINTS[field.inputType]}
        autosize
        minRows={field.inputType === "text" || field.inputType === "number" ? 1 : 3}
        maxRows={12}
        inputMode={field.inputType === "number" ? "decimal" : "text"}
        value={text}
        error={error}
        data-autofocus
        onChange={(event) => onChange(event.currentTarget.value)}
      />
      {takesFile ? (
        <FileButton onChange={(file) => void file?.text().then(onChange)}>
          {(button) => (
            <Button {...button} variant="default" size="xs" style={{ alignSelf: "start" }}>
              Choose a file
            </Button>
          )}
        </FileButton>
      ) : null}
    </Stack>
  );
}
