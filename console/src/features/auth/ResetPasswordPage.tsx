/** Sets a new password by the token of a mailed link, which stands behind the # and so in no server's log. */
import { Alert, Button, PasswordInput, Stack, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDocumentTitle } from "@mantine/hooks";
import { IconCircleCheck } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { useLocation } from "@tanstack/react-router";
import { useState } from "react";

import { api, body } from "@/api/client";
import { formErrors } from "@/api/problem";
import { ButtonLink, TextLink } from "@/ui/ButtonLink";

import { FormProblem } from "./FormProblem";

export function ResetPasswordPage() {
  useDocumentTitle("New password · AgentForge");
  const token = useLocation({ select: ({ hash }) => hash });
  const [problem, setProblem] = useState<string | null>(token ? null : "This address is no link of a mail.");
  const form = useForm({ initialValues: { newPassword: "" } });
  const change = useMutation({
    mutationFn: ({ newPassword }: typeof form.values) =>
      body(api.POST("/auth/reset-password/confirm", { body: { token, newPassword } })),
    onSuccess: () => setProblem(null),
    onError: (error) => {
      const { fields, general } = formErrors(error, ["newPassword"]);
      form.setErrors(fields);
      setProblem(general);
    },
  });

  if (change.isSuccess) {
    return (
      <Stack>
        <Title order={1}>New password</Title>
        <Alert color="green" role="status" icon={<IconCircleCheck aria-hidden />}>
          {change.data.message}
        </Alert>
        <ButtonLink to="/sign-in" size="md">
          Sign in
        </ButtonLink>
      </Stack>
    );
  }
  return (
    <form onSubmit={form.onSubmit((values) => change.mutate(values))}>
      <Stack>
        <Title order={1}>New password</Title>
        <FormProblem message={problem} />
        <PasswordInput
          label="New password"
          description="At least 8 characters. Every session of the account ends with the change."
          required
          autoComplete="new-password"
          {...form.getInputProps("newPassword")}
        />
        <Button type="submit" size="md" loading={change.isPending} disabled={!token}>
          Set password
        </Button>
        <TextLink to="/forgotten-password" size="sm" ta="center">
          Mail me another link
        </TextLink>
      </Stack>
    </form>
  );
}
