/** The caller's workflows, newest first. */
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { ButtonLink, TextLink } from "@/ui/ButtonLink";
import { type Column, DataList } from "@/ui/DataList";
import { PageHeader } from "@/ui/PageHeader";
import { Empty, Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/values";

const workflowsQuery = queryOptions({
  queryKey: keys.workflows.list(),
  queryFn: ({ signal }) => body(api.GET("/workflows", { signal })),
});

const COLUMNS: Column<Schemas["Workflow"]>[] = [
  {
    key: "name",
    header: "Name",
    heading: true,
    cell: (workflow) => (
      <TextLink to="/workflows/$workflowId" params={{ workflowId: workflow.id }} fw={600}>
        {workflow.name}
      </TextLink>
    ),
  },
  { key: "status", header: "State", cell: (workflow) => <StatusBadge status={workflow.status} /> },
  { key: "nodes", header: "Nodes", numeric: true, cell: (workflow) => workflow.nodes.length },
  { key: "updated", header: "Changed", cell: (workflow) => <Time value={workflow.updatedAt} /> },
];

export function WorkflowsPage() {
  const workflows = useQuery(workflowsQuery);
  return (
    <>
      <PageHeader
        title="Workflows"
        actions={<ButtonLink to="/templates">Start from a template</ButtonLink>}
      />
      <Loaded
        query={workflows}
        isEmpty={(data) => data.workflows.length === 0}
        empty={<Empty title="No workflows yet">A template is the quickest start.</Empty>}
      >
        {(data) => (
          <DataList
            label="Workflows"
            rows={data.workflows}
            columns={COLUMNS}
            rowKey={(workflow) => workflow.id}
          />
        )}
      </Loaded>
    </>
  );
}
