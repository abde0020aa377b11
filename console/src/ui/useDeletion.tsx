/** Delete at once, and offer to bring it back: the API keeps what was deleted for a while, so a closed tab loses nothing. */
import { Button, Group, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";

import { messageOf } from "@/api/problem";

const UNDO_MS = 15_000; // the API brings it back for ten minutes

interface Deletion<Row> {
  remove: (row: Row) => Promise<unknown>;
  restore: (id: string) => Promise<unknown>;
  refresh: () => Promise<unknown>;
  /** Where to go from the screen of what is deleted. */
  leave?: () => Promise<unknown>;
}

function say(title: string) {
  return (error: unknown) =>
    notifications.show({ color: "red", title, message: messageOf(error), autoClose: false });
}

export function useDeletion<Row extends { id: string; name: string }>(deletion: Deletion<Row>) {
  const { remove, restore, refresh, leave } = deletion;
  return useMutation({
    mutationFn: remove,
    onSuccess: async (_response, { id, name }) => {
      // Not a mutation of the row, which is gone when the button is pressed.
      offerUndo(id, name, () => void restore(id).then(refresh).catch(say("It could not be brought back")));
      await leave?.();
      await refresh();
    },
    onError: say("It was not deleted"),
  });
}

function offerUndo(id: string, name: string, undo: () => void): void {
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
            undo();
            notifications.hide(notification);
          }}
        >
          Undo
        </Button>
      </Group>
    ),
  });
}
