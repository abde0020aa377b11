/** Creates an access key, and shows it, which happens only once. */
import { Alert, Button, Checkbox, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import { ChangeDialog, type ChangeHeaders } from "@/ui/ChangeDialog";
import { CopyField } from "@/ui/CopyField";

import { DEFAULT_SCOPES, expiryOf, LIFETIMES, type Scope, SCOPES } from "./scopes";

interface Values extends Record<string, unknown> {
  name: string;
  scopes: string[];
  expiresAt: string;
}

const INITIAL: Values = { name: "", scopes: DEFAULT_SCOPES, expiresAt: "90" };

interface NewAccessKeyProps {
  onCreated: (key: string | null) => void;
  onClose: () => void;
}

export function NewAccessKeyDialog({ onCreated, onClose }: NewAccessKeyProps) {
  const queryClient = useQueryClient();
  const create = ({ name, scopes, expiresAt }: Values, headers: ChangeHeaders) =>
    body(
      api.POST("/access-keys", {
        body: { name, scopes: scopes as Scope[], expiresAt: expiryOf(expiresAt) },
        headers,
      }),
    );
  const done = ({ key }: { key: string | null }) => {
    onCreated(key);
    onClose();
    void queryClient.invalidateQueries({ queryKey: keys.accessKeys });
  };

  return (
    <ChangeDialog
      title="New access key"
      action="Create"
      initial={INITIAL}
      onSubmit={create}
      onDone={done}
      onClose={onClose}
    >
      {(form) => (
        <>
          <TextInput
            label="Name"
            description="Where you use it, such as the name of a program."
            required
            maxLength={100}
            data-autofocus
            {...form.getInputProps("name")}
          />
          <Checkbox.Group label="It may" {...form.getInputProps("scopes")}>
            <Stack gap="xs" mt="xs">
              {Object.entries(SCOPES).map(([scope, words]) => (
                <Checkbox key={scope} value={scope} label={words} />
              ))}
            </Stack>
          </Checkbox.Group>
          <Select
            label="It works for"
            data={LIFETIMES}
            allowDeselect={false}
            {...form.getInputProps("expiresAt")}
          />
        </>
      )}
    </ChangeDialog>
  );
}

export function CreatedKeyDialog({ value, onClose }: { value: string; onClose: () => void }) {
  return (
    <Modal opened onClose={onClose} title="Your new access key">
      <Stack>
        <Alert color="copper">
          <Text size="sm">Copy it now: it is stored only as a hash, so nobody can show it to you again.</Text>
        </Alert>
        <CopyField value={value} label="Access key" />
        <Button onClick={onClose}>I have it</Button>
      </Stack>
    </Modal>
  );
}
