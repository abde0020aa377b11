/** Two people, or two tabs, changed one schedule: says what the stored one has, and asks which one stays. */
import { Alert, Button, Group, List, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { type ReactNode, useEffect, useRef } from "react";

import { Credits } from "@/ui/values";

import type { Conflict, Filled } from "./conflict";
import type { ScheduleDetail } from "./queries";

interface ConflictAlertProps {
  conflict: Conflict;
  onShowStored: () => void;
  onSaveMine: () => void;
}

export function ConflictAlert({ conflict, onShowStored, onSaveMine }: ConflictAlertProps) {
  const alert = useRef<HTMLDivElement>(null);
  useEffect(() => alert.current?.focus(), []); // the button that had the focus is gone
  return (
    <Alert
      ref={alert}
      tabIndex={-1}
      color="copper"
      icon={<IconAlertTriangle aria-hidden />}
      title="This schedule was changed elsewhere"
    >
      <Text size="sm">
        Another tab or device saved it while you were editing. Yours is not saved yet. The stored one has:
      </Text>
      <List size="sm" my="xs">
        {conflict.fields.map((field) => (
          <List.Item key={field}>{WORDS[field](conflict.stored.schedule)}</List.Item>
        ))}
      </List>
      <Group gap="xs">
        <Button variant="default" onClick={onShowStored}>
          Show the stored one
        </Button>
        <Button onClick={onSaveMine}>Save mine</Button>
      </Group>
    </Alert>
  );
}

const WORDS: Readonly<Record<keyof Filled, (stored: ScheduleDetail) => ReactNode>> = {
  cron: ({ description }) => `another time: ${description}`,
  timeZone: ({ timeZone }) => `another time zone: ${timeZone}`,
  name: ({ name }) => (name ? `another name: ${name}` : "no name"),
  input: () => "another input",
  maxCredits: ({ maxCredits }) =>
    maxCredits === null ? (
      "no limit of its cost"
    ) : (
      <>
        another limit of its cost: <Credits value={maxCredits} unit />
      </>
    ),
};
