/** Pages that links in mails lead to. A button follows the link, because mail scanners open addresses too. */
import { Alert, Button, Stack, Text, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import { IconCircleCheck } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useLocation } from "@tanstack/react-router";

import { api, body } from "@/api/client";
import { messageOf } from "@/api/problem";
import { ButtonLink } from "@/ui/ButtonLink";

import { FormProblem } from "./FormProblem";

interface MailedLinkProps {
  title: string;
  explanation: string;
  action: string;
  follow: (token: string) => Promise<{ message: string }>;
}

function MailedLink({ title, explanation, action, follow }: MailedLinkProps) {
  useDocumentTitle(`${title} · AgentForge`);
  const token = useLocation({ select: ({ hash }) => hash });
  const queryClient = useQueryClient();
  const following = useMutation({
    mutationFn: () => follow(token),
    onSuccess: () => queryClient.removeQueries(), // what was read before is not true any more
  });
  const problem = following.isError ? messageOf(following.error) : null;
  return (
    <Stack>
      <Title order={1}>{title}</Title>
      <FormProblem message={token ? problem : "This address is no link of a mail."} />
      {following.isSuccess ? (
        <>
          <Alert color="green" role="status" icon={<IconCircleCheck aria-hidden />}>
            {following.data.message}
          </Alert>
          <ButtonLink to="/" size="md">
            Go to the console
          </ButtonLink>
        </>
      ) : (
        <>
          <Text c="dimmed">{explanation}</Text>
          <Button
            size="md"
            disabled={!token}
            loading={following.isPending}
            onClick={() => following.mutate()}
          >
            {action}
          </Button>
        </>
      )}
    </Stack>
  );
}

export function VerifyPage() {
  return (
    <MailedLink
      title="Verify your address"
      explanation="With this you confirm that the address is yours, and your welcome credits arrive."
      action="Verify"
      follow={(token) => body(api.POST("/auth/verify", { body: { token } }))}
    />
  );
}

export function UndoEmailPage() {
  return (
    <MailedLink
      title="Keep your old address"
      explanation="With this the account goes back to the address that it had before."
      action="Restore the address"
      follow={(token) => body(api.POST("/auth/undo-email", { body: { token } }))}
    />
  );
}

export function UnsubscribePage() {
  return (
    <MailedLink
      title="Stop getting mails"
      explanation="You will not get such mails any more. Mails about payments and the security of your account still come. You can change this in the settings at any time."
      action="Stop such mails"
      follow={(token) => body(api.POST("/unsubscribe", { body: { token } }))}
    />
  );
}
