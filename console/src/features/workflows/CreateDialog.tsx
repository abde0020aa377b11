/** Names a new workflow before it is made. */
import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { type SyntheticEvent, useState } from "react";

import { formErrors } from "@/api/problem";
import { ErrorState } from "@/ui/states";

import { useCreate } from "./useWorkflowActions";

export function CreateDialog({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [isMissing, setMissing] = useState(false);
  const create = useCreate();
  const { fields, general } = create.isError
    ? formErrors(create.error, ["name"])
    : { fields: {} as Record<string, string>, general: null };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    setMissing(name.trim() === "");
    if (name.trim() !== "") create.mutate(name.trim());
  };
  return (
    <Modal opened onClose={onClose} title="New workflow">
      <form onSubmit={submit} noValidate>
        <Stack>
          <TextInput
            label="Name"
            data-autofocus
            maxLength={200}
            value={name}
            error={isMissing ? "Give it a name." : fields.name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          {general ? <ErrorState error={create.error} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Not now
            </Button>
            <Button type="submit" loading={create.isPending}>
              Create
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
