/** Delete with a way back: the notification has a button that undoes it. */
import { Button, Group, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useSyncExternalStore } from "react";

import { messageOf } from "@/api/problem";

import { Deletions } from "./deletions";

const UNDO_MS = 8000;

const deletions = new Deletions((_, error) => {
  notifications.show({
    color: "red",
    title: "It was not deleted",
    message: messageOf(error),
    autoClose: false,
  });
});
window.addEventListener("pagehide", () => deletions.flush());

/** The ids of what is about to be deleted, which lists leave out. */
export function useDeleted(): ReadonlySet<string> {
  return useSyncExternalStore(deletions.subscribe, () => deletions.ids);
}

/** `remove` outlives the page: its request is sent with `keepalive`. */
export function deleteWithUndo(id: string, name: string, remove: () => Promise<unknown>): void {
  deletions.schedule(id, remove, UNDO_MS);
  const notification = `deleted-${id}`;
  notifications.show({
    id: notification,
    autoClose: UNDO_MS,
    withCloseButton: false,
    message: (
      <Group justify="space-between" wrap="nowrap">
        <Text size="sm">“{name}” is deleted.</Text>
        <Button
          size="xs"
          variant="light"
          onClick={() => {
            deletions.undo(id);
            notifications.hide(notification);
          }}
        >
          Undo
        </Button>
      </Group>
    ),
  });
}
