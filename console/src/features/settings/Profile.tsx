/** Name, e-mail address and password. */
import { Alert, Button, Group, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import { useUser } from "@/api/session";
import { ChangeDialog, type ChangeHeaders } from "@/ui/ChangeDialog";
import { Section } from "@/ui/Section";

import classes from "./settings.module.css";

type Open = "name" | "email" | "password" | null;

export function Profile() {
  const user = useUser();
  const [open, setOpen] = useState<Open>(null);
  const close = () => setOpen(null);
  return (
    <Section title="Profile">
      <div className={classes.facts}>
        <Fact label="Name" action="Change name" onChange={() => setOpen("name")}>
          {user.name}
        </Fact>
        <Fact label="E-mail" action="Change e-mail" onChange={() => setOpen("email")}>
          {user.email}
        </Fact>
        <Fact label="Password" action="Change password" onChange={() => setOpen("password")}>
          ••••••••
        </Fact>
      </div>
      {user.pendingEmail ? (
        <Alert mt="md" color="copper">
          {user.pendingEmail} becomes your address when you follow the link that we mailed to it.
        </Alert>
      ) : null}
      {open === "name" ? <NameDialog onClose={close} /> : null}
      {open === "email" ? <EmailDialog onClose={close} /> : null}
      {open === "password" ? <PasswordDialog onClose={close} /> : null}
    </Section>
  );
}

interface FactProps {
  label: string;
  action: string;
  onChange: () => void;
  children: ReactNode;
}

function Fact({ label, action, onChange, children }: FactProps) {
  return (
    <Group className={classes.fact} justify="space-between" wrap="nowrap">
      <dl className={classes.pair}>
        <dt className={classes.label}>{label}</dt>
        <dd className={classes.value}>{children}</dd>
      </dl>
      <Button size="xs" variant="default" className={classes.change} aria-label={action} onClick={onChange}>
        Change
      </Button>
    </Group>
  );
}

function useProfileChange() {
  const queryClient = useQueryClient();
  return async (change: { name?: string; email?: string }, headers: ChangeHeaders = {}) => {
    const { user } = await body(api.PUT("/auth/profile", { body: change, headers }));
    queryClient.setQueryData(keys.me, user);
    return user;
  };
}

function NameDialog({ onClose }: { onClose: () => void }) {
  const change = useProfileChange();
  return (
    <ChangeDialog
      title="Change your name"
      action="Change"
      initial={{ name: useUser().name }}
      onSubmit={change}
      onClose={onClose}
    >
      {(form) => (
        <TextInput label="Name" required autoComplete="name" data-autofocus {...form.getInputProps("name")} />
      )}
    </ChangeDialog>
  );
}

function EmailDialog({ onClose }: { onClose: () => void }) {
  const change = useProfileChange();
  return (
    <ChangeDialog
      title="Change your e-mail address"
      action="Mail me the link"
      initial={{ email: "" }}
      codes={{ email_taken: "email" }}
      onSubmit={change}
      onClose={onClose}
    >
      {(form) => (
        <>
          <Text size="sm" c="dimmed">
            The new address counts once you follow the link that we mail to it. The old one gets a link that
            undoes the change.
          </Text>
          <TextInput
            label="New address"
            type="email"
            required
            autoComplete="email"
            data-autofocus
            {...form.getInputProps("email")}
          />
        </>
      )}
    </ChangeDialog>
  );
}

function PasswordDialog({ onClose }: { onClose: () => void }) {
  const queryClient = useQueryClient();
  const change = async (values: { currentPassword: string; newPassword: string }, headers: ChangeHeaders) => {
    const { message } = await body(api.POST("/auth/change-password", { body: values, headers }));
    notifications.show({ message });
    await queryClient.invalidateQueries({ queryKey: keys.sessions });
  };
  return (
    <ChangeDialog
      title="Change your password"
      action="Change"
      initial={{ currentPassword: "", newPassword: "" }}
      codes={{ wrong_password: "currentPassword" }}
      onSubmit={change}
      onClose={onClose}
    >
      {(form) => (
        <Stack>
          <Text size="sm" c="dimmed">
            All other sessions end with it.
          </Text>
          <PasswordInput
            label="Current password"
            required
            autoComplete="current-password"
            data-autofocus
            {...form.getInputProps("currentPassword")}
          />
          <PasswordInput
            label="New password"
            description="At least 8 characters; the longer, the better."
            required
            autoComplete="new-password"
            {...form.getInputProps("newPassword")}
          />
        </Stack>
      )}
    </ChangeDialog>
  );
}
