/** Where the settings of a node are: beside the canvas on a desk, over it on a phone. */
import { Drawer } from "@mantine/core";
import type { ReactNode } from "react";

import { useIsDesk } from "@/ui/useIsDesk";

import classes from "../Builder.module.css";

export function PanelFrame({
  opened,
  onClose,
  children,
}: {
  opened: boolean;
  onClose: () => void;
  children: ReactNode;
}) {
  if (useIsDesk()) {
    return opened ? (
      <aside className={classes.panel} aria-label="Settings of the node" data-panel>
        {children}
      </aside>
    ) : null;
  }
  return (
    <Drawer
      opened={opened}
      onClose={onClose}
      position="bottom"
      size="100%"
      padding={0}
      withCloseButton={false}
      attributes={{ content: { "aria-label": "Settings of the node" } }}
      styles={{ body: { height: "100%" } }}
    >
      {children}
    </Drawer>
  );
}
