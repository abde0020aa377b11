/** A copy of everything, and the end of the account. */
import { Button, Group, PasswordInput, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { useState } from "react";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import { messageOf } from "@/api/problem";
import { useUser } from "@/api/session";
import { ChangeDialog } from "@/ui/ChangeDialog";
import { Section } from "@/ui/Section";

export function MyData() {
  const [deleting, setDeleting] = useState(false);
  const exportData = useMutation({
    mutationFn: () => body(api.POST("/auth/export", { body: {} })),
    onSuccess: ({ message }) => notifications.show({ message }),
    onError: (error) => notifications.show({ color: "red", message: messageOf(error) }),
  });
  return (
    <Section title="Your data">
      <Text c="dimmed" mb="md">
        A copy is a ZIP file of JSON with your workflows, runs, credits and account. We mail you a link to it,
        which works for a week.
      </Text>
      <Group gap="sm">
        <Button variant="default" loading={exportData.isPending} onClick={() => exportData.mutate()}>
          Export my data
        </Button>
        <Button variant="subtle" color="red" onClick={() => setDeleting(true)}>
          Delete my account
        </Button>
      </Group>
      {deleting ? <DeleteDialog onClose={() => setDeleting(false)} /> : null}
    </Section>
  );
}

function DeleteDialog({ onClose }: { onClose: () => void }) {
  const { email } = useUser();
  const router = useRouter();
  const queryClient = useQueryClient();
  const left = async () => {
    queryClient.clear();
    queryClient.setQueryData(keys.me, null);
    await router.navigate({ to: "/sign-in" });
  };
  return (
    <ChangeDialog
      title="Delete your account for good?"
      action="Delete everything"
      danger
      initial={{ typed: "", password: "" }}
      codes={{ wrong_password: "password" }}
      onSubmit={async ({ typed, password }, headers) => {
        if (typed.trim() !== email) throw new Error(`Type ${email} to confirm.`);
        await api.DELETE("/auth/me", { body: { password }, headers });
      }}
      onDone={() => void left()}
      onClose={onClose}
    >
      {(form) => (
        <>
          <Text size="sm">
            Your subscription is cancelled, runs under way are cancelled, and your workflows, runs, keys and
            credits are gone. This cannot be undone.
          </Text>
          <TextInput
            label="Your e-mail address"
            description={`Type ${email} to confirm.`}
            required
            autoComplete="off"
            {...form.getInputProps("typed")}
          />
          <PasswordInput
            label="Your password"
            required
            autoComplete="current-password"
            {...form.getInputProps("password")}
          />
        </>
      )}
    </ChangeDialog>
  );
}
