/** All users, found by name or address. */
import { TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconSearch } from "@tabler/icons-react";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { TextLink } from "@/ui/ButtonLink";
import type { Column } from "@/ui/DataList";
import { Section } from "@/ui/Section";
import { Time } from "@/ui/values";

import { PagedList } from "@/ui/PagedList";
import { usePages } from "@/ui/usePages";

const COLUMNS: Column<Schemas["Person"]>[] = [
  {
    key: "email",
    header: "E-mail",
    heading: true,
    cell: (person) => (
      <TextLink to="/admin/users/$userId" params={{ userId: person.id }}>
        {person.email}
      </TextLink>
    ),
  },
  { key: "name", header: "Name", cell: (person) => person.name },
  { key: "tier", header: "Tier", cell: (person) => person.subscriptionTier },
  { key: "role", header: "Role", cell: (person) => person.role },
  { key: "since", header: "Since", cell: (person) => <Time value={person.createdAt} exact="date" /> },
];

export function Users() {
  const [typed, setTyped] = useState("");
  const [q] = useDebouncedValue(typed.trim(), 300);
  const pages = usePages(
    keys.admin.one("users", { q }),
    (page, signal) =>
      body(api.GET("/admin/users", { params: { query: { ...page, ...(q ? { q } : {}) } }, signal })),
    (page) => page.users,
  );
  return (
    <Section title="Users">
      <TextInput
        mb="md"
        label="Find"
        placeholder="Name or address"
        leftSection={<IconSearch size={16} aria-hidden />}
        value={typed}
        onChange={(event) => setTyped(event.currentTarget.value)}
      />
      <PagedList
        label="Users"
        pages={pages}
        columns={COLUMNS}
        rowKey={(person) => person.id}
        empty="Nobody fits"
      />
    </Section>
  );
}
