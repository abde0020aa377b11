/** What stands in the place of a screen that failed, does not exist, or is still loading. */
import { Button, Container, Group, Stack, Text, Title } from "@mantine/core";
import type { ErrorComponentProps } from "@tanstack/react-router";

import { TextLink } from "@/ui/ButtonLink";
import { ErrorState, Loading } from "@/ui/states";

/** After an update of the console, a tab of before asks for files that are gone. */
function isOutdated(error: unknown): boolean {
  return error instanceof Error && /dynamically imported module|module script/i.test(error.message);
}

export function RouteError({ error, reset }: ErrorComponentProps) {
  if (isOutdated(error)) {
    return (
      <Container size="sm" py="xl">
        <Stack align="flex-start">
          <Title order={1}>The console was updated</Title>
          <Text>Load it again to go on. Nothing that you saved is lost.</Text>
          <Button onClick={() => window.location.reload()}>Load again</Button>
        </Stack>
      </Container>
    );
  }
  return (
    <Container size="sm" py="xl">
      <Stack>
        <Title order={1}>This screen failed</Title>
        <ErrorState error={error} onRetry={reset} />
        <Group>
          <TextLink to="/">Back to the start</TextLink>
        </Group>
      </Stack>
    </Container>
  );
}

export function NotFound() {
  return (
    <Container size="sm" py="xl">
      <Stack align="flex-start">
        <Title order={1}>There is nothing here</Title>
        <Text c="dimmed">The address may be mistyped, or what it led to was deleted.</Text>
        <TextLink to="/">Back to the start</TextLink>
      </Stack>
    </Container>
  );
}

export function Pending() {
  return <Loading rows={5} />;
}
