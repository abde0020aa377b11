/** Keys with which programs use the API in the caller's name. */
import { Button, Text } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { ChangeDialog, type ChangeHeaders } from "@/ui/ChangeDialog";
import { type Column, DataList } from "@/ui/DataList";
import { Section } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { Time } from "@/ui/values";

import { CreatedKeyDialog, NewAccessKeyDialog } from "./NewAccessKeyDialog";
import { SCOPES } from "./scopes";

const accessKeysQuery = queryOptions({
  queryKey: keys.accessKeys,
  queryFn: ({ signal }) => body(api.GET("/access-keys", { params: { query: { limit: 100 } }, signal })),
});

export function AccessKeys() {
  const query = useQuery(accessKeysQuery);
  const [creating, setCreating] = useState(false);
  const [created, setCreated] = useState<string | null>(null);
  const [revoking, setRevoking] = useState<Schemas["AccessKey"] | null>(null);
  const columns: Column<Schemas["AccessKey"]>[] = [
    { key: "name", header: "Name", heading: true, cell: (key) => key.name },
    { key: "last4", header: "Ends in", cell: (key) => `…${key.last4}` },
    { key: "scopes", header: "May", cell: (key) => key.scopes.map((scope) => SCOPES[scope]).join(", ") },
    { key: "used", header: "Last used", cell: (key) => <Time value={key.lastUsedAt} /> },
    {
      key: "expires",
      header: "Expires",
      cell: (key) => (key.expiresAt ? <Time value={key.expiresAt} exact="date" /> : "Never"),
    },
    {
      key: "actions",
      header: "Actions",
      buttons: true,
      cell: (key) => (
        <Button
          size="xs"
          variant="subtle"
          color="red"
          onClick={() => setRevoking(key)}
          aria-label={`Revoke ${key.name}`}
        >
          Revoke
        </Button>
      ),
    },
  ];
  return (
    <Section
      title="Access keys"
      actions={
        <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setCreating(true)}>
          New access key
        </Button>
      }
    >
      <Loaded
        query={query}
        isEmpty={(data) => data.accessKeys.length === 0}
        empty={<Empty title="No access keys">With one, a program of yours uses the API.</Empty>}
      >
        {(data) => (
          <DataList label="Access keys" rows={data.accessKeys} columns={columns} rowKey={(key) => key.id} />
        )}
      </Loaded>
      {creating ? <NewAccessKeyDialog onCreated={setCreated} onClose={() => setCreating(false)} /> : null}
      {created ? <CreatedKeyDialog value={created} onClose={() => setCreated(null)} /> : null}
      {revoking ? <RevokeDialog revoked={revoking} onClose={() => setRevoking(null)} /> : null}
    </Section>
  );
}

function RevokeDialog({ revoked, onClose }: { revoked: Schemas["AccessKey"]; onClose: () => void }) {
  const queryClient = useQueryClient();
  const revoke = async (_: object, headers: ChangeHeaders) => {
    await api.DELETE("/access-keys/{keyId}", { params: { path: { keyId: revoked.id } }, headers });
    await queryClient.invalidateQueries({ queryKey: keys.accessKeys });
  };
  return (
    <ChangeDialog
      title={`Revoke ${revoked.name}?`}
      action="Revoke"
      danger
      initial={{}}
      onSubmit={revoke}
      onClose={onClose}
    >
      {() => <Text>Programs that use it are refused from now on. This cannot be undone.</Text>}
    </ChangeDialog>
  );
}
