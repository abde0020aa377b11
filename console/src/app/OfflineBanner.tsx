/** Says that the browser has no connection, above every screen. */
import { Text } from "@mantine/core";
import { useNetwork } from "@mantine/hooks";
import { IconCloudOff } from "@tabler/icons-react";

import classes from "./Banner.module.css";

export function OfflineBanner() {
  const { online } = useNetwork();
  return (
    <div role="status">
      {online ? null : (
        <div className={classes.banner} data-tone="neutral">
          <IconCloudOff size={18} aria-hidden />
          <Text size="sm">You are offline. What you see may be out of date; your runs go on meanwhile.</Text>
        </div>
      )}
    </div>
  );
}
