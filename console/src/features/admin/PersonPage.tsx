/** One user: wallet, plan, runs and what happened; with the adjustments that an administrator may make. */
import { Button, Group, NumberInput, Stack, Text, TextInput } from "@mantine/core";
import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { ChangeDialog } from "@/ui/ChangeDialog";
import { type Column, DataList } from "@/ui/DataList";
import { PageHeader } from "@/ui/PageHeader";
import { Figure, Figures, Section } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";
import { Credits, Time } from "@/ui/values";

const route = getRouteApi("/shell/admin/users/$userId");

const personQuery = (personId: string) =>
  queryOptions({
    queryKey: keys.admin.one("user", { personId }),
    queryFn: ({ signal }) =>
      body(api.GET("/admin/users/{personId}", { params: { path: { personId } }, signal })),
  });

const TRANSACTIONS: Column<Schemas["Movement"]>[] = [
  { key: "reason", header: "Reason", heading: true, cell: (movement) => movement.reason },
  { key: "time", header: "When", cell: (movement) => <Time value={movement.createdAt} /> },
  {
    key: "amount",
    header: "Amount",
    numeric: true,
    cell: (movement) => (
      <>
        {movement.type === "credit" ? "+" : "−"}
        <Credits value={movement.amount} />
      </>
    ),
  },
  {
    key: "balance",
    header: "Balance",
    numeric: true,
    cell: (movement) => <Credits value={movement.balanceAfter} />,
  },
];

const RUNS: Column<Schemas["Execution"]>[] = [
  { key: "workflow", header: "Workflow", heading: true, cell: (run) => run.workflowName },
  { key: "status", header: "State", cell: (run) => <StatusBadge status={run.status} /> },
  { key: "credits", header: "Credits", numeric: true, cell: (run) => <Credits value={run.creditsCharged} /> },
];

const AUDIT: Column<Schemas["AuditEntry"]>[] = [
  { key: "action", header: "What", heading: true, cell: (entry) => entry.action },
  { key: "address", header: "From", cell: (entry) => entry.address ?? "–" },
  { key: "time", header: "When", cell: (entry) => <Time value={entry.at} /> },
];

export function PersonPage() {
  const { userId } = route.useParams();
  const query = useQuery(personQuery(userId));
  return <Loaded query={query}>{(detail) => <Person detail={detail} />}</Loaded>;
}

function Person({ detail }: { detail: Schemas["PersonDetail"] }) {
  const { user, wallet, subscription } = detail;
  const [open, setOpen] = useState<"credits" | "factor" | null>(null);
  const close = () => setOpen(null);
  return (
    <>
      <PageHeader
        title={user.email}
        description={user.name}
        actions={
          <Group gap="sm">
            <Button onClick={() => setOpen("credits")}>Adjust credits</Button>
            <Button variant="default" onClick={() => setOpen("factor")}>
              Remove second factor
            </Button>
          </Group>
        }
      />
      <Stack gap="xl">
        <Figures>
          <Figure label="Available">
            <Credits value={wallet.available} />
          </Figure>
          <Figure label="Held by runs">
            <Credits value={wallet.held} />
          </Figure>
          <Figure label="Tier">{subscription.tier}</Figure>
          <Figure label="Subscription">
            <StatusBadge status={subscription.status} />
          </Figure>
        </Figures>
        <Lists detail={detail} />
      </Stack>
      {open === "credits" ? <AdjustDialog personId={user.id} onClose={close} /> : null}
      {open === "factor" ? <FactorDialog personId={user.id} onClose={close} /> : null}
    </>
  );
}

function Lists({ detail }: { detail: Schemas["PersonDetail"] }) {
  return (
    <>
      <Section title="Newest changes of the balance">
        <Rows rows={detail.transactions} columns={TRANSACTIONS} label="Changes of the balance" />
      </Section>
      <Section title="Newest runs">
        <Rows rows={detail.executions} columns={RUNS} label="Runs" />
      </Section>
      <Section title="Newest activity">
        <Rows rows={detail.audit} columns={AUDIT} label="Activity" />
      </Section>
    </>
  );
}

function Rows<Row extends { id: string }>(props: { rows: Row[]; columns: Column<Row>[]; label: string }) {
  if (props.rows.length === 0) return <Empty title="Nothing yet" />;
  return <DataList {...props} rowKey={(row) => row.id} />;
}

function usePersonRefresh(personId: string) {
  const queryClient = useQueryClient();
  return () => queryClient.invalidateQueries({ queryKey: keys.admin.one("user", { personId }) });
}

function AdjustDialog({ personId, onClose }: { personId: string; onClose: () => void }) {
  const refresh = usePersonRefresh(personId);
  const [key] = useState(() => crypto.randomUUID()); // a repeat after a lost connection is the same adjustment
  return (
    <ChangeDialog
      title="Adjust credits"
      action="Adjust"
      initial={{ amount: 0, reason: "" }}
      onSubmit={async ({ amount, reason }) => {
        const header = { "Idempotency-Key": key };
        const params = { path: { personId }, header };
        await api.POST("/admin/users/{personId}/credits", { params, body: { amount, reason } });
        await refresh();
      }}
      onClose={onClose}
    >
      {(form) => (
        <>
          <NumberInput
            label="Credits"
            description="Added to the balance; with a minus they are removed."
            decimalScale={2}
            required
            {...form.getInputProps("amount")}
          />
          <Reason {...form.getInputProps("reason")} />
        </>
      )}
    </ChangeDialog>
  );
}

function FactorDialog({ personId, onClose }: { personId: string; onClose: () => void }) {
  const refresh = usePersonRefresh(personId);
  return (
    <ChangeDialog
      title="Remove the second factor?"
      action="Remove"
      danger
      initial={{ reason: "" }}
      onSubmit={async (values) => {
        await api.DELETE("/admin/users/{personId}/two-factor", {
          params: { path: { personId } },
          body: values,
        });
        await refresh();
      }}
      onClose={onClose}
    >
      {(form) => (
        <>
          <Text size="sm">
            For a user who lost the device and the recovery codes, and proved who they are.
          </Text>
          <Reason {...form.getInputProps("reason")} />
        </>
      )}
    </ChangeDialog>
  );
}

function Reason(props: object) {
  return (
    <TextInput
      label="Reason"
      description="The user and the audit log show it."
      required
      maxLength={500}
      {...props}
    />
  );
}
