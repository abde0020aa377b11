/** The gallery of templates. */
import { Paper, SimpleGrid, Text, Title } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body } from "@/api/client";
import { keys } from "@/api/keys";
import { PageHeader } from "@/ui/PageHeader";
import { Empty, Loaded } from "@/ui/states";

const templatesQuery = queryOptions({
  queryKey: keys.templates.list(),
  queryFn: ({ signal }) => body(api.GET("/templates", { signal })),
});

export function TemplatesPage() {
  const templates = useQuery(templatesQuery);
  return (
    <>
      <PageHeader title="Templates" description="Workflows that work, to start from." />
      <Loaded
        query={templates}
        isEmpty={(data) => data.templates.length === 0}
        empty={<Empty title="The gallery is empty" />}
      >
        {(data) => (
          <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
            {data.templates.map((template) => (
              <Paper key={template.id} component="article">
                <Text size="sm" c="dimmed">
                  {template.category}
                </Text>
                <Title order={2}>{template.name}</Title>
                <Text mt="xs">{template.description}</Text>
                <Text size="sm" c="dimmed" mt="sm">
                  {template.nodes.length} nodes, used {template.uses} times
                </Text>
              </Paper>
            ))}
          </SimpleGrid>
        )}
      </Loaded>
    </>
  );
}
