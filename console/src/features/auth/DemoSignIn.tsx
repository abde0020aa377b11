/** One click into the demo's account, where the API offers one: on a development stack. */
import { Button, Divider } from "@mantine/core";
import { IconSparkles } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { messageOf } from "@/api/problem";
import { configQuery } from "@/api/queries";

import { FormProblem } from "./FormProblem";

export function DemoSignIn({ onSignedIn }: { onSignedIn: (user: Schemas["User"]) => Promise<void> }) {
  const { data: config } = useQuery(configQuery);
  const demo = config?.demo;
  const signIn = useMutation({
    mutationFn: (account: { email: string; password: string }) =>
      body(api.POST("/auth/login", { body: { ...account, session: "cookie" } })),
    onSuccess: ({ user }) => onSignedIn(user),
  });
  if (!demo) return null;
  return (
    <>
      <Divider label="or" />
      <FormProblem message={signIn.isError ? messageOf(signIn.error) : null} />
      <Button
        variant="default"
        size="md"
        leftSection={<IconSparkles size={18} aria-hidden />}
        loading={signIn.isPending}
        onClick={() => signIn.mutate({ email: demo.email, password: demo.password })}
      >
        Look around as the demo user
      </Button>
    </>
  );
}
