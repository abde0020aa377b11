/** A new account, signed in at once; the link in the mail verifies its address. */
import { Button, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDocumentTitle } from "@mantine/hooks";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { api, body } from "@/api/client";
import { formErrors } from "@/api/problem";
import { TextLink } from "@/ui/ButtonLink";

import { FormProblem } from "./FormProblem";
import { useSignedIn } from "./signed-in";

export function SignUpPage() {
  useDocumentTitle("Create an account · AgentForge");
  const signedIn = useSignedIn("/");
  const [problem, setProblem] = useState<string | null>(null);
  const form = useForm({ initialValues: { name: "", email: "", password: "" } });
  const signUp = useMutation({
    mutationFn: (values: typeof form.values) =>
      body(api.POST("/auth/register", { body: { ...values, session: "cookie" } })),
    onSuccess: ({ user }) => signedIn(user),
    onError: (error) => {
      const { fields, general } = formErrors(error, ["name", "email", "password"], { email_taken: "email" });
      form.setErrors(fields);
      setProblem(general);
    },
  });

  return (
    <form onSubmit={form.onSubmit((values) => signUp.mutate(values))}>
      <Stack>
        <Title order={1}>Create an account</Title>
        <FormProblem message={problem} />
        <TextInput label="Name" required autoComplete="name" {...form.getInputProps("name")} />
        <TextInput
          label="E-mail"
          description="We mail you a link; your welcome credits arrive when you follow it."
          type="email"
          required
          autoComplete="username"
          {...form.getInputProps("email")}
        />
        <PasswordInput
          label="Password"
          description="At least 8 characters; the longer, the better."
          required
          autoComplete="new-password"
          {...form.getInputProps("password")}
        />
        <Button type="submit" size="md" loading={signUp.isPending}>
          Create account
        </Button>
        <Text size="sm" ta="center">
          You have one?{" "}
          <TextLink to="/sign-in" underline="always">
            Sign in
          </TextLink>
        </Text>
      </Stack>
    </form>
  );
}
