/** The caller's account: who they are, how they sign in, and what becomes of their data. */
import { Stack } from "@mantine/core";

import { PageHeader } from "@/ui/PageHeader";

import { AuditLog } from "./AuditLog";
import { MyData } from "./MyData";
import { Notifications } from "./Notifications";
import { Profile } from "./Profile";
import { SecondFactor } from "./SecondFactor";
import { Sessions } from "./Sessions";

export function SettingsPage() {
  return (
    <>
      <PageHeader title="Settings" description="Your account, how you sign in, and your data." />
      <Stack gap="xl">
        <Profile />
        <Notifications />
        <SecondFactor />
        <Sessions />
        <AuditLog />
        <MyData />
      </Stack>
    </>
  );
}
