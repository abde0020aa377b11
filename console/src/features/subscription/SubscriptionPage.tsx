/** The plan, what it allows and what was used of it, how it is paid, and its invoices. */
import { Alert, Button, Group, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, body, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { messageOf } from "@/api/problem";
import { subscriptionQuery } from "@/api/queries";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { PageHeader } from "@/ui/PageHeader";
import { Loaded } from "@/ui/states";
import { Time } from "@/ui/values";

import { Invoices } from "./Invoices";
import { PaymentMethods } from "./PaymentMethods";
import { Plans } from "./Plans";
import { Usage } from "./Usage";

export function SubscriptionPage() {
  const query = useQuery(subscriptionQuery);
  return (
    <>
      <PageHeader title="Subscription" description="Your plan, what you used of it, and how you pay." />
      <Stack gap="xl">
        <Loaded query={query}>
          {(current) => (
            <>
              <Standing current={current} />
              <Usage current={current} />
              <Plans current={current} />
            </>
          )}
        </Loaded>
        <PaymentMethods />
        <Invoices />
      </Stack>
    </>
  );
}

/** What the user should know or may do about a paid plan. */
function Standing({ current }: { current: Schemas["Current"] }) {
  if (!current.priceId) return null;
  if (current.pastDueSince)
    return (
      <Alert color="red" title="The last payment failed">
        Choose another payment method below, or the plan ends. It is due since{" "}
        <Time value={current.pastDueSince} exact="date" />.
      </Alert>
    );
  return current.cancelAtPeriodEnd ? <Ending current={current} /> : <Cancelling current={current} />;
}

function useBillingRefresh() {
  const queryClient = useQueryClient();
  return () => queryClient.invalidateQueries({ queryKey: keys.billing.all });
}

function Ending({ current }: { current: Schemas["Current"] }) {
  const refresh = useBillingRefresh();
  const resume = useMutation({
    mutationFn: () => body(api.POST("/subscriptions/resume", { body: {} })),
    onSuccess: refresh,
    onError: (error) => notifications.show({ color: "red", message: messageOf(error) }),
  });
  return (
    <Alert color="copper" title="Your plan ends">
      <Text size="sm" mb="sm">
        It works until <Time value={current.currentPeriodEnd} exact="date" />; then your account is free.
      </Text>
      <Button size="xs" loading={resume.isPending} onClick={() => resume.mutate()}>
        Keep the plan
      </Button>
    </Alert>
  );
}

function Cancelling({ current }: { current: Schemas["Current"] }) {
  const refresh = useBillingRefresh();
  const [asking, setAsking] = useState(false);
  const cancel = async () => {
    const { message } = (await body(
      api.POST("/subscriptions/cancel", { body: {} }),
    )) as Schemas["CancelledSubscription"];
    notifications.show({ message });
    await refresh();
  };
  return (
    <Group justify="space-between">
      <Text c="dimmed">
        The next payment is due on <Time value={current.currentPeriodEnd} exact="date" />.
      </Text>
      <Button variant="subtle" color="red" onClick={() => setAsking(true)}>
        Cancel the plan
      </Button>
      <ConfirmDialog
        opened={asking}
        title="Cancel the plan?"
        action="Cancel the plan"
        danger
        onConfirm={cancel}
        onClose={() => setAsking(false)}
      >
        <Text>
          It works until <Time value={current.currentPeriodEnd} exact="date" />. Until then you can change
          your mind.
        </Text>
      </ConfirmDialog>
    </Group>
  );
}
