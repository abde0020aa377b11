/** Keys of providers, and access keys of the caller's programs. */
import { Stack } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { type Column, DataList } from "@/ui/DataList";
import { PageHeader } from "@/ui/PageHeader";
import { Section } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/values";

const providerKeysQuery = queryOptions({
  queryKey: keys.providerKeys,
  queryFn: ({ signal }) => body(api.GET("/api-keys", { signal })),
});

const accessKeysQuery = queryOptions({
  queryKey: keys.accessKeys,
  queryFn: ({ signal }) => body(api.GET("/access-keys", { signal })),
});

const PROVIDER_COLUMNS: Column<Schemas["ApiKey"]>[] = [
  { key: "provider", header: "Provider", heading: true, cell: (key) => key.provider },
  { key: "last4", header: "Ends in", cell: (key) => key.last4 },
  { key: "status", header: "State", cell: (key) => <StatusBadge status={key.status} /> },
];

const ACCESS_COLUMNS: Column<Schemas["AccessKey"]>[] = [
  { key: "name", header: "Name", heading: true, cell: (key) => key.name },
  { key: "last4", header: "Ends in", cell: (key) => key.last4 },
  { key: "scopes", header: "May", cell: (key) => key.scopes.join(", ") },
  { key: "used", header: "Last used", cell: (key) => <Time value={key.lastUsedAt} /> },
];

export function KeysPage() {
  const providerKeys = useQuery(providerKeysQuery);
  const accessKeys = useQuery(accessKeysQuery);
  return (
    <>
      <PageHeader title="Keys" />
      <Stack gap="xl">
        <Section title="Provider keys">
          <Loaded
            query={providerKeys}
            isEmpty={(data) => data.apiKeys.length === 0}
            empty={<Empty title="No provider keys">Without a key of yours the service's own pays.</Empty>}
          >
            {(data) => (
              <DataList
                label="Provider keys"
                rows={data.apiKeys}
                columns={PROVIDER_COLUMNS}
                rowKey={(key) => key.provider}
              />
            )}
          </Loaded>
        </Section>
        <Section title="Access keys">
          <Loaded
            query={accessKeys}
            isEmpty={(data) => data.accessKeys.length === 0}
            empty={<Empty title="No access keys">With one, your programs use the API.</Empty>}
          >
            {(data) => (
              <DataList
                label="Access keys"
                rows={data.accessKeys}
                columns={ACCESS_COLUMNS}
                rowKey={(key) => key.id}
              />
            )}
          </Loaded>
        </Section>
      </Stack>
    </>
  );
}
