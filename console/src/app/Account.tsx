/** Who is signed in, the colour scheme, and the way out. */
import { ActionIcon, SegmentedControl, Text, Tooltip, useMantineColorScheme } from "@mantine/core";
import { IconDeviceDesktop, IconLogout, IconMoon, IconSun } from "@tabler/icons-react";
import type { ComponentType } from "react";

import classes from "./Account.module.css";
import { useSignOut, useUser } from "@/api/session";

function schemeOption(
  value: string,
  label: string,
  Icon: ComponentType<{ size: number; "aria-hidden": boolean }>,
) {
  return {
    value,
    label: (
      <span className={classes.scheme} title={label}>
        <Icon size={16} aria-hidden />
        <span className={classes.hidden}>{label}</span>
      </span>
    ),
  };
}

const SCHEMES = [
  schemeOption("light", "Light", IconSun),
  schemeOption("auto", "As the system", IconDeviceDesktop),
  schemeOption("dark", "Dark", IconMoon),
];

export function Account() {
  const user = useUser();
  const signOut = useSignOut();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <div className={classes.account}>
      <SegmentedControl
        fullWidth
        size="xs"
        aria-label="Colours"
        data={SCHEMES}
        value={colorScheme}
        onChange={(scheme) => setColorScheme(scheme as "light" | "dark" | "auto")}
      />
      <div className={classes.row}>
        <div className={classes.who}>
          <Text size="sm" fw={600} truncate>
            {user.name}
          </Text>
          <Text size="xs" c="dimmed" truncate title={user.email}>
            {user.email}
          </Text>
        </div>
        <Tooltip label="Sign out">
          <ActionIcon aria-label="Sign out" onClick={() => void signOut()}>
            <IconLogout size={20} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </div>
    </div>
  );
}
