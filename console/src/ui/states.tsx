/** The states that every list and screen has: loading, empty, error and offline. */
import { Alert, Button, Skeleton, Stack, Text, Title } from "@mantine/core";
import { IconAlertTriangle, IconCloudOff, IconInbox } from "@tabler/icons-react";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { ApiError, messageOf, OfflineError } from "@/api/problem";

import { ButtonLink } from "./ButtonLink";
import classes from "./states.module.css";

/** Grey lines in the place of what is being loaded. */
export function Loading({ rows = 4, label = "Loading" }: { rows?: number; label?: string }) {
  return (
    <Stack gap="sm" role="status" aria-label={label}>
      {Array.from({ length: rows }, (_, row) => (
        <Skeleton key={row} height={row === 0 ? 22 : 44} width={row === 0 ? "40%" : "100%"} radius="md" />
      ))}
    </Stack>
  );
}

/** There is nothing yet: says so, and what to do about it. */
export function Empty({
  title,
  children,
  action,
}: {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={classes.empty}>
      <IconInbox size={36} stroke={1.3} aria-hidden />
      <Title order={3}>{title}</Title>
      {children ? <Text c="dimmed">{children}</Text> : null}
      {action}
    </div>
  );
}

/** The server cannot be reached. */
export function Offline({ onRetry }: { onRetry?: (() => void) | undefined }) {
  return (
    <Alert color="gray" icon={<IconCloudOff aria-hidden />} title="No connection" role="alert">
      <Text size="sm">
        The server cannot be reached. What you see may be out of date; runs go on meanwhile.
      </Text>
      {onRetry ? <Retry onClick={onRetry} /> : null}
    </Alert>
  );
}

/** Something was refused or broke: the API's sentence, and a way to try again. */
export function ErrorState({ error, onRetry }: { error: unknown; onRetry?: (() => void) | undefined }) {
  if (error instanceof OfflineError) return <Offline onRetry={onRetry} />;
  return (
    <Alert color="red" icon={<IconAlertTriangle aria-hidden />} title="This did not work" role="alert">
      <Text size="sm">{messageOf(error)}</Text>
      <Remedy error={error} />
      {onRetry ? <Retry onClick={onRetry} /> : null}
    </Alert>
  );
}

const CREDITS = { to: "/credits", label: "Buy credits" } as const;
const PLAN = { to: "/subscription", label: "Compare plans" } as const;
const REMEDIES: Readonly<Record<string, typeof CREDITS | typeof PLAN>> = {
  insufficient_credits: CREDITS,
  workflow_limit_reached: PLAN,
  node_limit_reached: PLAN,
  storage_limit_reached: PLAN,
  api_call_limit_reached: PLAN,
  workflow_read_only: PLAN,
  schedule_limit_reached: PLAN,
};

/** The way to what the call lacked. */
function Remedy({ error }: { error: unknown }) {
  const remedy = error instanceof ApiError ? REMEDIES[error.code] : undefined;
  if (!remedy) return null;
  return (
    <ButtonLink mt="sm" size="xs" variant="default" to={remedy.to}>
      {remedy.label}
    </ButtonLink>
  );
}

function Retry({ onClick }: { onClick: () => void }) {
  return (
    <Button mt="sm" size="xs" variant="default" onClick={onClick}>
      Try again
    </Button>
  );
}

interface LoadedProps<Data> {
  query: UseQueryResult<Data>;
  children: (data: Data) => ReactNode;
  rows?: number;
  isEmpty?: (data: Data) => boolean;
  empty?: ReactNode;
}

/** The data of a query once it is there; until then, and if it fails, the state it is in. */
export function Loaded<Data>({ query, children, rows = 4, isEmpty, empty }: LoadedProps<Data>) {
  const retry = () => void query.refetch();
  if (query.isPending) return <Loading rows={rows} />;
  if (query.data === undefined) return <ErrorState error={query.error} onRetry={retry} />;
  return (
    <>
      {query.isError ? <ErrorState error={query.error} onRetry={retry} /> : null}
      {isEmpty?.(query.data) ? empty : children(query.data)}
    </>
  );
}
