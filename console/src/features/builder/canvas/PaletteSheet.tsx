/** The palette over the canvas: from below on a phone, by the key A on a desk. */
import { Drawer, Modal } from "@mantine/core";

import { useIsDesk } from "@/ui/useIsDesk";

import { Palette } from "./Palette";
import type { Commands } from "./useCommands";

export function PaletteSheet({
  opened,
  onClose,
  commands,
}: {
  opened: boolean;
  onClose: () => void;
  commands: Commands;
}) {
  const isDesk = useIsDesk();
  const palette = (
    <Palette
      isFirst={isDesk}
      onAdd={(type) => {
        onClose();
        commands.add(type);
      }}
      onFind={(id) => {
        onClose();
        commands.reveal(id);
      }}
    />
  );
  if (isDesk) {
    return (
      <Modal opened={opened} onClose={onClose} title="Add a node" size="md" returnFocus={false}>
        {palette}
      </Modal>
    );
  }
  return (
    <Drawer opened={opened} onClose={onClose} title="Add a node" position="bottom" size="75%" radius="lg">
      {palette}
    </Drawer>
  );
}
