/** Keys of providers, and access keys of the caller's programs. */
import { Stack } from "@mantine/core";

import { PageHeader } from "@/ui/PageHeader";

import { AccessKeys } from "./AccessKeys";
import { ProviderKeys } from "./ProviderKeys";

export function KeysPage() {
  return (
    <>
      <PageHeader
        title="Keys"
        description="Your own keys at AI providers, and keys with which your programs use the API."
      />
      <Stack gap="xl">
        <ProviderKeys />
        <AccessKeys />
      </Stack>
    </>
  );
}
