/** What owners do with their template: change its words, publish it or take it back, delete it. */
import { Alert, Button, Paper, Stack, Switch, Text } from "@mantine/core";
import { IconPencil, IconTrash } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { keys } from "@/api/keys";
import { ErrorState } from "@/ui/states";
import { useDeletion } from "@/ui/useDeletion";

import { PublishDialog } from "./PublishDialog";
import { changeTemplate, removeTemplate, restoreTemplate, type Template } from "./queries";

export function OwnActions({ template }: { template: Template }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [edits, setEdits] = useState(false);
  const refresh = () => client.invalidateQueries({ queryKey: keys.templates.all });
  const publish = useMutation({
    mutationFn: (published: boolean) => changeTemplate(template.id, { published }),
    onSuccess: refresh,
  });
  const remove = useDeletion<Template>({
    remove: ({ id }) => removeTemplate(id),
    restore: restoreTemplate,
    refresh,
    leave: () => navigate({ to: "/templates", search: { own: true } }),
  });

  return (
    <Paper p="md" component="section" aria-label="Your template">
      <Stack gap="sm">
        <Text fw={600}>Your template</Text>
        {template.unpublishedAt ? (
          <Alert color="yellow" title="Removed from the gallery">
            An administrator removed it. It cannot be published again.
          </Alert>
        ) : (
          <Switch
            label="Published"
            description={template.published ? "Everybody sees it in the gallery." : "Only you see it."}
            checked={publish.isPending ? publish.variables : template.published}
            onChange={(event) => publish.mutate(event.currentTarget.checked)}
          />
        )}
        {publish.isError ? <ErrorState error={publish.error} /> : null}
        <Button
          variant="default"
          leftSection={<IconPencil size={18} aria-hidden />}
          onClick={() => setEdits(true)}
        >
          Change
        </Button>
        <Button
          variant="subtle"
          color="red"
          leftSection={<IconTrash size={18} aria-hidden />}
          loading={remove.isPending}
          onClick={() => remove.mutate(template)}
        >
          Delete
        </Button>
      </Stack>
      {edits ? <PublishDialog template={template} onClose={() => setEdits(false)} /> : null}
    </Paper>
  );
}
