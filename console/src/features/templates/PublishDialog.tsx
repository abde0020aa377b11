/** Makes a template of one of the caller's workflows, or changes the words of one. */
import {
  Autocomplete,
  Button,
  Checkbox,
  Group,
  Modal,
  NumberInput,
  Select,
  SimpleGrid,
  Stack,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { notifications } from "@mantine/notifications";
import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { api, body, type Schemas } from "@/api/client";
import { useIdempotencyKey } from "@/api/idempotency";
import { keys } from "@/api/keys";
import { formErrors } from "@/api/problem";
import { ErrorState } from "@/ui/states";

import { categoriesQuery, changeTemplate, saveTemplate, type Template } from "./queries";
import { categoryName } from "./words";

const FIELDS = ["name", "description", "category", "estimatedTime"];
const USUAL_CATEGORIES = ["data", "communication", "analysis", "automation"];

const sourcesQuery = queryOptions({
  queryKey: keys.workflows.list({ limit: 100 }),
  queryFn: ({ signal }) => body(api.GET("/workflows", { params: { query: { limit: 100 } }, signal })),
});

interface Words {
  workflowId: string;
  name: string;
  description: string;
  category: string;
  estimatedTime: number | string;
  published: boolean;
}

interface PublishDialogProps {
  /** The template to change; without one a new one is made. */
  template?: Template;
  onClose: () => void;
}

export function PublishDialog({ template, onClose }: PublishDialogProps) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const keyOf = useIdempotencyKey();
  const sources = useQuery({ ...sourcesQuery, enabled: !template });
  const workflows = sources.data?.workflows ?? [];
  const form = useForm<Words>({
    initialValues: {
      workflowId: "",
      name: template?.name ?? "",
      description: template?.description ?? "",
      category: template ? categoryName(template.category) : "",
      estimatedTime: template?.estimatedTime ?? "",
      published: true,
    },
    validate: {
      workflowId: (id) => (template || id ? null : "Choose a workflow."),
      name: (name) => (name.trim() ? null : "Give it a name."),
      category: (category) => (category.trim() ? null : "Choose a category."),
    },
  });

  const save = useMutation({
    mutationFn: ({ workflowId, published, ...words }: Words): Promise<Template> => {
      const about = { ...words, estimatedTime: words.estimatedTime === "" ? null : words.estimatedTime };
      if (template) return changeTemplate(template.id, about);
      const source = workflows.find(({ id }) => id === workflowId);
      const made = withGraph(about, source, published);
      return saveTemplate(made, keyOf(made));
    },
    onSuccess: async (saved) => {
      await client.invalidateQueries({ queryKey: keys.templates.all });
      onClose();
      if (template) return;
      notifications.show({
        message: `“${saved.name}” is ${saved.published ? "in the gallery" : "saved as a template"}.`,
      });
      await navigate({ to: "/templates/$templateId", params: { templateId: saved.id } });
    },
    onError: (error) => form.setErrors(formErrors(error, FIELDS).fields),
  });
  const { general } = save.isError ? formErrors(save.error, FIELDS) : { general: null };

  return (
    <Modal opened onClose={onClose} title={template ? "Change the template" : "Publish a workflow"} size="lg">
      <form onSubmit={form.onSubmit((words) => save.mutate(words))} noValidate>
        <Stack>
          {template ? null : (
            <Select
              label="Workflow"
              description="Its graph is copied; later changes of the workflow do not change the template."
              size="md"
              searchable
              data-autofocus
              placeholder={sources.isPending ? "Loading" : "Choose"}
              nothingFoundMessage="You have no such workflow."
              data={workflows.map(({ id, name }) => ({ value: id, label: name }))}
              value={form.values.workflowId || null}
              error={form.errors.workflowId}
              onChange={(id) => {
                form.setFieldValue("workflowId", id ?? "");
                const source = workflows.find((workflow) => workflow.id === id);
                if (source && !form.isTouched("name")) {
                  form.setValues({ name: source.name, description: source.description });
                }
              }}
            />
          )}
          {sources.isError ? (
            <ErrorState error={sources.error} onRetry={() => void sources.refetch()} />
          ) : null}
          <TextInput label="Name" maxLength={200} {...form.getInputProps("name")} />
          <Textarea
            label="What it is for"
            size="md"
            autosize
            minRows={2}
            maxRows={6}
            maxLength={5000}
            {...form.getInputProps("description")}
          />
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <CategoryInput {...form.getInputProps("category")} />
            <NumberInput
              label="Minutes that a run takes"
              size="md"
              min={1}
              max={10_080}
              allowDecimal={false}
              placeholder="Not said"
              {...form.getInputProps("estimatedTime")}
            />
          </SimpleGrid>
          {template ? null : (
            <Checkbox
              label="Show it to everybody in the gallery"
              {...form.getInputProps("published", { type: "checkbox" })}
            />
          )}
          {general ? <ErrorState error={save.error} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Not now
            </Button>
            <Button type="submit" loading={save.isPending}>
              {template ? "Save" : form.values.published ? "Publish" : "Save as template"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function CategoryInput(props: { value?: string; onChange?: (value: string) => void; error?: ReactNode }) {
  const categories = useQuery(categoriesQuery);
  const names = new Set([
    ...USUAL_CATEGORIES,
    ...(categories.data?.categories ?? []).map(({ name }) => name),
  ]);
  return (
    <Autocomplete label="Category" size="md" maxLength={40} data={[...names].map(categoryName)} {...props} />
  );
}

type About = Pick<Schemas["TemplateIn"], "name" | "category" | "description" | "estimatedTime">;

function withGraph(
  about: About,
  source: Schemas["Workflow"] | undefined,
  published: boolean,
): Schemas["TemplateIn"] {
  return { ...about, published, nodes: source?.nodes ?? [], connections: source?.connections ?? [] };
}
