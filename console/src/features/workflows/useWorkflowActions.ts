/** Changes of the list of workflows. */
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";

import { useIdempotencyKey } from "@/api/idempotency";
import { keys } from "@/api/keys";
import { useDeletion } from "@/ui/useDeletion";

import { copyName, readFile, toFile, type WorkflowFile } from "./files";
import { createWorkflow, newWorkflow, removeWorkflow, restoreWorkflow, type Workflow } from "./queries";

function useCreation() {
  const client = useQueryClient();
  const keyOf = useIdempotencyKey();
  return async (file: WorkflowFile): Promise<Workflow> => {
    const workflow = await createWorkflow(file, keyOf(file));
    void client.invalidateQueries({ queryKey: keys.workflows.all });
    return workflow;
  };
}

/** Make an empty workflow of this name, and open it. */
export function useCreate() {
  const create = useCreation();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: (name: string) => create(newWorkflow(name)),
    onSuccess: ({ id }) => navigate({ to: "/workflows/$workflowId", params: { workflowId: id } }),
  });
}

/** Make a workflow of a file, and open it. */
export function useImport() {
  const create = useCreation();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async (file: File) => create(await readFile(file)),
    onSuccess: ({ id }) => navigate({ to: "/workflows/$workflowId", params: { workflowId: id } }),
  });
}

export function useDuplicate() {
  const create = useCreation();
  return useMutation({
    mutationFn: (workflow: Workflow) => create({ ...toFile(workflow), name: copyName(workflow.name, []) }),
    onSuccess: ({ name }) => notifications.show({ message: `“${name}” is made.` }),
  });
}

export function useRemove() {
  const client = useQueryClient();
  return useDeletion<Workflow>({
    remove: ({ id }) => removeWorkflow(id),
    restore: restoreWorkflow,
    refresh: async () => {
      await client.invalidateQueries({ queryKey: keys.workflows.all });
      await client.invalidateQueries({ queryKey: keys.runs.lists });
    },
  });
}
