/** One workflow: its nodes, and what is wrong with them. */
import { List, Stack } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import { DataList } from "@/ui/DataList";
import { PageHeader } from "@/ui/PageHeader";
import { Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";

const route = getRouteApi("/shell/workflows/$workflowId");

function workflowQuery(id: string) {
  return queryOptions({
    queryKey: keys.workflows.one(id),
    queryFn: ({ signal }) =>
      body(api.GET("/workflows/{workflowId}", { params: { path: { workflowId: id } }, signal })),
  });
}

export function BuilderPage() {
  const { workflowId } = route.useParams();
  const workflow = useQuery(workflowQuery(workflowId));
  return (
    <>
      <PageHeader
        title={workflow.data?.workflow.name ?? "Workflow"}
        description={workflow.data?.workflow.description}
      />
      <Loaded query={workflow}>
        {({ workflow: { nodes, problems } }) => (
          <Stack>
            {problems.length > 0 ? (
              <Section title="Problems">
                <List>
                  {problems.map((problem) => (
                    <List.Item key={problem.message}>{problem.message}</List.Item>
                  ))}
                </List>
              </Section>
            ) : null}
            <DataList
              label="Nodes"
              rows={nodes}
              columns={[
                {
                  key: "label",
                  header: "Node",
                  heading: true,
                  cell: (node) => String(node.label ?? node.id),
                },
                { key: "type", header: "Type", cell: (node) => String(node.type) },
              ]}
              rowKey={(node) => String(node.id)}
            />
          </Stack>
        )}
      </Loaded>
    </>
  );
}
