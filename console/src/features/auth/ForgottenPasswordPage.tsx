/** Asks for the link with which a new password can be set. */
import { Alert, Button, Stack, Text, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDocumentTitle } from "@mantine/hooks";
import { IconMail } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { api, body } from "@/api/client";
import { formErrors } from "@/api/problem";
import { TextLink } from "@/ui/ButtonLink";

import { FormProblem } from "./FormProblem";

export function ForgottenPasswordPage() {
  useDocumentTitle("Forgotten password · AgentForge");
  const [problem, setProblem] = useState<string | null>(null);
  const form = useForm({ initialValues: { email: "" } });
  const ask = useMutation({
    mutationFn: (values: typeof form.values) => body(api.POST("/auth/reset-password", { body: values })),
    onSuccess: () => setProblem(null),
    onError: (error) => {
      const { fields, general } = formErrors(error, ["email"]);
      form.setErrors(fields);
      setProblem(general);
    },
  });

  return (
    <form onSubmit={form.onSubmit((values) => ask.mutate(values))}>
      <Stack>
        <Title order={1}>Forgotten password</Title>
        <FormProblem message={problem} />
        {ask.isSuccess ? (
          <Alert color="petrol" role="status" icon={<IconMail aria-hidden />} title="Look into your mail">
            {ask.data.message}
          </Alert>
        ) : (
          <>
            <Text c="dimmed">We mail you a link with which you set a new one.</Text>
            <TextInput
              label="E-mail"
              type="email"
              required
              autoComplete="username"
              {...form.getInputProps("email")}
            />
            <Button type="submit" size="md" loading={ask.isPending}>
              Mail me a link
            </Button>
          </>
        )}
        <TextLink to="/sign-in" size="sm" ta="center">
          Back to the sign-in
        </TextLink>
      </Stack>
    </form>
  );
}
