/** A dialog with a form that changes something, and that asks for a code of the second factor if the API wants one. */
import { Alert, Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { useForm, type UseFormReturnType } from "@mantine/form";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";

import { ApiError, formErrors } from "@/api/problem";

/** The headers of a call that may need the second factor. */
export type ChangeHeaders = Record<string, string>;

interface ChangeDialogProps<Values extends Record<string, unknown>, Result> {
  title: string;
  /** What is done, as a verb: "Change". */
  action: string;
  danger?: boolean;
  initial: Values;
  /** At which field an error without fields belongs, by its code. */
  codes?: Record<string, string>;
  onSubmit: (values: Values, headers: ChangeHeaders) => Promise<Result>;
  /** Called when the user leaves, and when the change is made unless `onDone` is given. */
  onClose: () => void;
  onDone?: (result: Result) => void;
  children: (form: UseFormReturnType<Values>) => ReactNode;
}

/** Rendered while it is open, so that each opening begins with empty fields. */
export function ChangeDialog<Values extends Record<string, unknown>, Result>(
  props: ChangeDialogProps<Values, Result>,
) {
  const { title, action, danger, initial, codes, onSubmit, onClose, onDone = onClose, children } = props;
  const form = useForm<Values>({ initialValues: initial });
  const [code, setCode] = useState<string | null>(null); // null until the API asks for one
  const [codeError, setCodeError] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);

  const change = useMutation({
    mutationFn: (values: Values) => onSubmit(values, code ? { "Two-Factor-Code": code.trim() } : {}),
    onMutate: () => {
      setProblem(null);
      setCodeError(null);
    },
    onSuccess: (result) => onDone(result),
    onError: (error) => {
      const refusal = error instanceof ApiError ? error.code : null;
      if (refusal === "two_factor_code_required") {
        setCode("");
      } else if (refusal === "wrong_code") {
        setCodeError(error.message);
      } else {
        const { fields, general } = formErrors(error, Object.keys(initial), codes);
        form.setErrors(fields);
        setProblem(general);
      }
    },
  });

  return (
    <Modal opened onClose={onClose} title={title}>
      <form onSubmit={form.onSubmit((values) => change.mutate(values))}>
        <Stack>
          {problem ? (
            <Alert color="red" role="alert" icon={<IconAlertTriangle aria-hidden />}>
              {problem}
            </Alert>
          ) : null}
          {children(form)}
          {code === null ? null : (
            <TextInput
              label="Code of your second factor"
              description="From your authenticator app, or a recovery code."
              required
              data-autofocus
              autoComplete="one-time-code"
              value={code}
              error={codeError}
              onChange={(event) => setCode(event.currentTarget.value)}
            />
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Close
            </Button>
            <Button type="submit" loading={change.isPending} {...(danger ? { color: "red" } : {})}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
