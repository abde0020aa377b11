/** Says what was deleted, with a button that undoes it. */
import { Button, Group, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";

export function offerUndo(id: string, name: string, undo: () => void, forMs: number): void {
  const notification = `deleted-${id}`;
  notifications.show({
    id: notification,
    autoClose: forMs,
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
