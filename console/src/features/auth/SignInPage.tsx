/** Sign-in with a password, and with a code of the second factor when the account has one. */
import { Anchor, Button, Group, PasswordInput, Stack, Text, TextInput, Title } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDocumentTitle } from "@mantine/hooks";
import { useMutation } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import { api, body } from "@/api/client";
import { ApiError, formErrors } from "@/api/problem";
import { TextLink } from "@/ui/ButtonLink";

import { DemoSignIn } from "./DemoSignIn";
import { FormProblem } from "./FormProblem";
import { useSignedIn } from "./signed-in";

const route = getRouteApi("/stranger/sign-in");

export function SignInPage() {
  useDocumentTitle("Sign in · AgentForge");
  const { next } = route.useSearch();
  const signedIn = useSignedIn(next);
  const [asksCode, setAsksCode] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const form = useForm({ initialValues: { email: "", password: "", code: "" } });
  const signIn = useMutation({
    mutationFn: ({ email, password, code }: typeof form.values) =>
      body(
        api.POST("/auth/login", {
          body: { email, password, session: "cookie", ...(asksCode ? { code: code.trim() } : {}) },
        }),
      ),
    onSuccess: ({ user }) => signedIn(user),
    onError: (error) => {
      if (error instanceof ApiError && error.code === "two_factor_required") {
        setAsksCode(true);
        setProblem(null);
        return;
      }
      const { fields, general } = formErrors(error, ["email", "password", "code"], {
        wrong_two_factor_code: "code",
      });
      form.setErrors(fields);
      setProblem(general);
    },
  });

  return (
    <form onSubmit={form.onSubmit((values) => signIn.mutate(values))}>
      <Stack>
        <Title order={1}>Sign in</Title>
        <FormProblem message={problem} />
        {asksCode ? (
          <>
            <Text c="dimmed">
              Type the code that your authenticator app shows, or one of your recovery codes.
            </Text>
            <TextInput
              label="Code"
              required
              data-autofocus
              autoComplete="one-time-code"
              {...form.getInputProps("code")}
            />
          </>
        ) : (
          <>
            <TextInput
              label="E-mail"
              type="email"
              required
              autoComplete="username"
              {...form.getInputProps("email")}
            />
            <PasswordInput
              label="Password"
              required
              autoComplete="current-password"
              {...form.getInputProps("password")}
            />
          </>
        )}
        <Button type="submit" size="md" loading={signIn.isPending}>
          Sign in
        </Button>
        {asksCode ? (
          <Anchor component="button" type="button" onClick={() => setAsksCode(false)}>
            Use another account
          </Anchor>
        ) : (
          <>
            <Group justify="space-between">
              <TextLink to="/forgotten-password" size="sm">
                Forgotten password?
              </TextLink>
              <TextLink to="/sign-up" size="sm">
                Create an account
              </TextLink>
            </Group>
            <DemoSignIn onSignedIn={signedIn} />
          </>
        )}
      </Stack>
    </form>
  );
}
