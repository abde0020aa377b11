/** The caller's own keys at AI providers: stored, tested live, and never shown again. */
import { Button, Group, PasswordInput, Text } from "@mantine/core";
import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { ChangeDialog, type ChangeHeaders } from "@/ui/ChangeDialog";
import { type Column, DataList } from "@/ui/DataList";
import { Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Time } from "@/ui/values";

import { type Provider, PROVIDERS, RESULTS } from "./providers";

const TEST_POLL_MS = 1000;

interface Row {
  id: Provider;
  name: string;
  example: string;
  key: Schemas["ApiKey"] | undefined;
}

const providerKeysQuery = queryOptions({
  queryKey: keys.providerKeys,
  queryFn: ({ signal }) => body(api.GET("/api-keys", { signal })),
  // A worker tests a key within seconds; the list follows until it has its answer.
  refetchInterval: ({ state }) =>
    state.data?.apiKeys.some((key) => key.status === "testing") ? TEST_POLL_MS : false,
});

export function ProviderKeys() {
  const query = useQuery(providerKeysQuery);
  const [storing, setStoring] = useState<Row | null>(null);
  const [deleting, setDeleting] = useState<Row | null>(null);
  const columns: Column<Row>[] = [
    { key: "provider", header: "Provider", heading: true, cell: (row) => row.name },
    { key: "key", header: "Key", cell: ({ key }) => (key ? `…${key.last4}` : "None of yours") },
    { key: "state", header: "State", cell: ({ key }) => (key ? <Result apiKey={key} /> : "–") },
    { key: "used", header: "Last used", cell: ({ key }) => <Time value={key?.lastUsedAt} /> },
    {
      key: "actions",
      header: "Actions",
      buttons: true,
      cell: (row) => (
        <RowActions row={row} onStore={() => setStoring(row)} onDelete={() => setDeleting(row)} />
      ),
    },
  ];
  return (
    <Section title="Provider keys">
      <Text c="dimmed" size="sm" mb="md">
        Calls with a key of yours go to your own account at the provider. A key is encrypted when it arrives,
        and nobody can read it back.
      </Text>
      <Loaded query={query}>
        {({ apiKeys }) => (
          <DataList
            label="Provider keys"
            rows={PROVIDERS.map((provider) => ({
              ...provider,
              key: apiKeys.find((key) => key.provider === provider.id),
            }))}
            columns={columns}
            rowKey={(row) => row.id}
          />
        )}
      </Loaded>
      {storing ? <StoreDialog row={storing} onClose={() => setStoring(null)} /> : null}
      {deleting ? <DeleteDialog row={deleting} onClose={() => setDeleting(null)} /> : null}
    </Section>
  );
}

function Result({ apiKey }: { apiKey: Schemas["ApiKey"] }) {
  const label = RESULTS[apiKey.status];
  return <StatusBadge status={apiKey.status} {...(label ? { label } : {})} />;
}

function RowActions({ row, onStore, onDelete }: { row: Row; onStore: () => void; onDelete: () => void }) {
  const refresh = useRefresh();
  const test = useMutation({
    mutationFn: () =>
      api.POST("/api-keys/{provider}/test", { params: { path: { provider: row.id } }, body: {} }),
    onSettled: refresh,
  });
  const name = row.name;
  if (!row.key)
    return (
      <Button size="xs" variant="default" onClick={onStore} aria-label={`Add a key of ${name}`}>
        Add a key
      </Button>
    );
  return (
    <Group gap="xs" wrap="wrap">
      <Button
        size="xs"
        variant="default"
        loading={test.isPending || row.key.status === "testing"}
        onClick={() => test.mutate()}
        aria-label={`Test the key of ${name}`}
      >
        Test
      </Button>
      <Button size="xs" variant="default" onClick={onStore} aria-label={`Replace the key of ${name}`}>
        Replace
      </Button>
      <Button
        size="xs"
        variant="subtle"
        color="red"
        onClick={onDelete}
        aria-label={`Delete the key of ${name}`}
      >
        Delete
      </Button>
    </Group>
  );
}

function useRefresh() {
  const queryClient = useQueryClient();
  return () => queryClient.invalidateQueries({ queryKey: keys.providerKeys });
}

function StoreDialog({ row, onClose }: { row: Row; onClose: () => void }) {
  const refresh = useRefresh();
  const store = async ({ key }: { key: string }, headers: ChangeHeaders) => {
    await api.PUT("/api-keys/{provider}", {
      params: { path: { provider: row.id } },
      body: { key: key.trim() },
      headers,
    });
    await refresh();
  };
  return (
    <ChangeDialog
      title={`${row.key ? "Replace" : "Add"} your key of ${row.name}`}
      action="Store and test"
      initial={{ key: "" }}
      onSubmit={store}
      onClose={onClose}
    >
      {(form) => (
        <PasswordInput
          label="Key"
          placeholder={row.example}
          required
          autoComplete="off"
          {...form.getInputProps("key")}
        />
      )}
    </ChangeDialog>
  );
}

function DeleteDialog({ row, onClose }: { row: Row; onClose: () => void }) {
  const refresh = useRefresh();
  const remove = async (_: object, headers: ChangeHeaders) => {
    await api.DELETE("/api-keys/{provider}", { params: { path: { provider: row.id } }, headers });
    await refresh();
  };
  return (
    <ChangeDialog
      title={`Delete your key of ${row.name}?`}
      action="Delete"
      danger
      initial={{}}
      onSubmit={remove}
      onClose={onClose}
    >
      {() => <Text>Calls to {row.name} use the key of this service again.</Text>}
    </ChangeDialog>
  );
}
