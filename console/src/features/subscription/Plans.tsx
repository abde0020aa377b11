/** The plans side by side, and the change to one of them. */
import { Button, List, Paper, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { PayDialog } from "@/payments/PayDialog";
import { paymentOfSubscription } from "@/payments/payment";
import { formatCents } from "@/ui/format";
import { Section } from "@/ui/Section";
import { Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";

import { planName } from "./plans";
import { Proration } from "./Proration";
import classes from "./subscription.module.css";

type Plan = Schemas["Plan"];

const plansQuery = queryOptions({
  queryKey: [...keys.billing.all, "plans"],
  queryFn: ({ signal }) => body(api.GET("/subscriptions/plans", { signal })),
  staleTime: Infinity,
});

export function Plans({ current }: { current: Schemas["Current"] }) {
  const query = useQuery(plansQuery);
  const [changing, setChanging] = useState<Plan | null>(null);
  return (
    <Section title="Plans">
      <Loaded query={query}>
        {({ plans }) => (
          <ul className={classes.plans}>
            {plans.map((plan) => (
              <PlanCard key={plan.tier} plan={plan} current={current} onChoose={() => setChanging(plan)} />
            ))}
          </ul>
        )}
      </Loaded>
      {changing ? <ChangeDialog plan={changing} current={current} onClose={() => setChanging(null)} /> : null}
    </Section>
  );
}

interface PlanCardProps {
  plan: Plan;
  current: Schemas["Current"];
  onChoose: () => void;
}

function PlanCard({ plan, current, onChoose }: PlanCardProps) {
  const isCurrent = plan.tier === current.tier;
  return (
    <Paper component="li" className={classes.plan} data-current={isCurrent || undefined}>
      <div>
        <div className={classes.meter}>
          <Title order={3}>{planName(plan.tier)}</Title>
          {isCurrent ? <StatusBadge status="active" label="Yours" /> : null}
        </div>
        <Text fz="xl" fw={650}>
          {formatCents(plan.priceCents, plan.currency)}
          <Text span c="dimmed" size="sm">
            {" "}
            a month
          </Text>
        </Text>
        <List size="sm" mt="sm" spacing={4}>
          {plan.features.map((feature) => (
            <List.Item key={feature}>{feature}</List.Item>
          ))}
        </List>
      </div>
      {isCurrent || plan.priceId === null ? null : (
        <Button mt="md" fullWidth onClick={onChoose}>
          {current.priceId ? "Change to" : "Choose"} {planName(plan.tier)}
        </Button>
      )}
    </Paper>
  );
}

function ChangeDialog({ plan, current, onClose }: Omit<PlanCardProps, "onChoose"> & { onClose: () => void }) {
  const requestId = useRef<string | null>(null);
  const price = formatCents(plan.priceCents, plan.currency);
  const isChange = current.priceId !== null;

  const pay = async (paymentMethodId: string, key: string) => {
    const answer = await body(
      api.POST("/subscriptions/create", {
        params: { header: { "Idempotency-Key": key } },
        body: { priceId: plan.priceId ?? "", paymentMethodId },
      }),
    );
    if ("subscription" in answer) return paymentOfSubscription(answer);
    requestId.current = answer.id;
    return { state: "working" } as const;
  };
  const read = async () => {
    const now = await body(api.GET("/subscriptions/current"));
    if (now.tier === plan.tier) return { state: "paid" } as const;
    if (!requestId.current) return { state: "working" } as const;
    const path = { requestId: requestId.current };
    const answer = await body(api.GET("/billing/requests/{requestId}", { params: { path } }));
    return answer && "subscription" in answer
      ? paymentOfSubscription(answer)
      : ({ state: "working" } as const);
  };
  const paid = () => {
    notifications.show({
      color: "petrol",
      title: "Your plan",
      message: `You are on ${planName(plan.tier)} now.`,
    });
    onClose();
  };

  return (
    <PayDialog
      title={`${isChange ? "Change to" : "Choose"} ${planName(plan.tier)}`}
      action={isChange ? "Change the plan" : `Pay ${price}`}
      amountCents={plan.priceCents}
      pay={pay}
      read={read}
      onPaid={paid}
      onClose={onClose}
    >
      <Text c="dimmed" size="sm">
        {price} a month, until you cancel.
      </Text>
      {isChange && plan.priceId ? <Proration priceId={plan.priceId} /> : null}
    </PayDialog>
  );
}
