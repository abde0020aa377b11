/** Where the caller is signed in, and the end of each. */
import { Button, Text } from "@mantine/core";
import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { type Column, DataList } from "@/ui/DataList";
import { Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";
import { Time } from "@/ui/values";

import { deviceOf } from "./device";

type Session = Schemas["CurrentSession"];

const sessionsQuery = queryOptions({
  queryKey: keys.sessions,
  queryFn: ({ signal }) => body(api.GET("/auth/sessions", { params: { query: { limit: 100 } }, signal })),
});

const COLUMNS: Column<Session>[] = [
  {
    key: "device",
    header: "Device",
    heading: true,
    cell: (session) => (
      <span title={session.userAgent ?? undefined}>
        {deviceOf(session.userAgent)}
        {session.current ? " (this one)" : ""}
      </span>
    ),
  },
  { key: "address", header: "Address", cell: (session) => session.address ?? "–" },
  { key: "seen", header: "Last seen", cell: (session) => <Time value={session.lastSeenAt} /> },
  { key: "began", header: "Signed in", cell: (session) => <Time value={session.createdAt} exact="date" /> },
  {
    key: "actions",
    header: "Actions",
    buttons: true,
    cell: (session) => (session.current ? "–" : <EndButton session={session} />),
  },
];

export function Sessions() {
  const query = useQuery(sessionsQuery);
  const queryClient = useQueryClient();
  const [endingOthers, setEndingOthers] = useState(false);
  const hasOthers = query.data?.sessions.some((session) => !session.current) ?? false;
  const endOthers = async () => {
    await api.DELETE("/auth/sessions");
    await queryClient.invalidateQueries({ queryKey: keys.sessions });
  };
  return (
    <Section
      title="Sessions"
      actions={
        hasOthers ? (
          <Button variant="default" onClick={() => setEndingOthers(true)}>
            End all others
          </Button>
        ) : null
      }
    >
      <Loaded query={query}>
        {(data) => (
          <DataList
            label="Sessions"
            rows={data.sessions}
            columns={COLUMNS}
            rowKey={(session) => session.id}
          />
        )}
      </Loaded>
      <ConfirmDialog
        opened={endingOthers}
        title="End all other sessions?"
        action="End them"
        onConfirm={endOthers}
        onClose={() => setEndingOthers(false)}
      >
        <Text>Other browsers and apps have to sign in again. Access keys go on working.</Text>
      </ConfirmDialog>
    </Section>
  );
}

function EndButton({ session }: { session: Session }) {
  const queryClient = useQueryClient();
  const end = useMutation({
    mutationFn: () =>
      api.DELETE("/auth/sessions/{sessionId}", { params: { path: { sessionId: session.id } } }),
    onSettled: () => queryClient.invalidateQueries({ queryKey: keys.sessions }),
  });
  return (
    <Button
      size="xs"
      variant="default"
      loading={end.isPending}
      onClick={() => end.mutate()}
      aria-label={`End the session of ${deviceOf(session.userAgent)}`}
    >
      End
    </Button>
  );
}
