/** The caller's account and sessions. */
import { Stack } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { useUser } from "@/api/session";
import { type Column, DataList } from "@/ui/DataList";
import { PageHeader } from "@/ui/PageHeader";
import { Figure, Figures, Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";
import { Time } from "@/ui/values";

const sessionsQuery = queryOptions({
  queryKey: keys.sessions,
  queryFn: ({ signal }) => body(api.GET("/auth/sessions", { signal })),
});

const COLUMNS: Column<Schemas["CurrentSession"]>[] = [
  {
    key: "device",
    header: "Device",
    heading: true,
    cell: (session) => `${session.userAgent ?? "Unknown"}${session.current ? " (this one)" : ""}`,
  },
  { key: "address", header: "Address", cell: (session) => session.address ?? "–" },
  { key: "seen", header: "Last seen", cell: (session) => <Time value={session.lastSeenAt} /> },
];

export function SettingsPage() {
  const user = useUser();
  const sessions = useQuery(sessionsQuery);
  return (
    <>
      <PageHeader title="Settings" />
      <Stack gap="xl">
        <Figures>
          <Figure label="Name">{user.name}</Figure>
          <Figure label="E-mail">{user.email}</Figure>
        </Figures>
        <Section title="Sessions">
          <Loaded query={sessions}>
            {(data) => (
              <DataList
                label="Sessions"
                rows={data.sessions}
                columns={COLUMNS}
                rowKey={(session) => session.id}
              />
            )}
          </Loaded>
        </Section>
      </Stack>
    </>
  );
}
