/** Runs that crashed their workers and events that failed too often, each with a way to try again. */
import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { messageOf } from "@/api/problem";
import { TextLink } from "@/ui/ButtonLink";
import type { Column } from "@/ui/DataList";
import { formatCount } from "@/ui/format";
import { Section } from "@/ui/Section";
import { Time } from "@/ui/values";

import { PagedList } from "@/ui/PagedList";
import { usePages } from "@/ui/usePages";

import classes from "./admin.module.css";

type Letter = Schemas["DeadLetter"];

const KINDS: Record<Letter["kind"], string> = { execution: "Run", stripe_event: "Event of Stripe" };

const COLUMNS: Column<Letter>[] = [
  { key: "kind", header: "What", heading: true, cell: (letter) => `${KINDS[letter.kind]}: ${letter.type}` },
  { key: "reason", header: "Why", cell: (letter) => letter.reason ?? "–" },
  {
    key: "id",
    header: "Id",
    cell: (letter) => <code className={classes.id}>{letter.id}</code>,
  },
  {
    key: "user",
    header: "User",
    cell: ({ userId }) =>
      userId === null ? (
        "–"
      ) : (
        <TextLink to="/admin/users/$userId" params={{ userId }}>
          Open
        </TextLink>
      ),
  },
  { key: "attempts", header: "Attempts", numeric: true, cell: (letter) => formatCount(letter.attempts) },
  { key: "time", header: "When", cell: (letter) => <Time value={letter.receivedAt} /> },
  { key: "actions", header: "Actions", buttons: true, cell: (letter) => <RetryButton letter={letter} /> },
];

export function DeadLetters() {
  const pages = usePages(
    keys.admin.one("dead-letters"),
    (page, signal) => body(api.GET("/admin/dead-letters", { params: { query: page }, signal })),
    (page) => page.deadLetters,
  );
  return (
    <Section title="Dead letters">
      <PagedList
        label="Dead letters"
        pages={pages}
        columns={COLUMNS}
        rowKey={(letter) => letter.id}
        empty="No dead letters"
      />
    </Section>
  );
}

function RetryButton({ letter }: { letter: Letter }) {
  const queryClient = useQueryClient();
  const retry = useMutation({
    mutationFn: () =>
      api.POST("/admin/dead-letters/{letterId}/retry", {
        params: { path: { letterId: letter.id } },
        body: {},
      }),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.admin.one("dead-letters") }),
    onError: (error) => notifications.show({ color: "red", message: messageOf(error) }),
  });
  return (
    <Button
      size="xs"
      variant="default"
      loading={retry.isPending}
      onClick={() => retry.mutate()}
      aria-label={`Try ${KINDS[letter.kind]} ${letter.id} again`}
    >
      Try again
    </Button>
  );
}
