/** The saved payment methods: which one pays, and the end of each. */
import { Button, Group, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, type Schemas } from "@/api/client";
import { keys } from "@/api/keys";
import { messageOf } from "@/api/problem";
import { paymentMethodsQuery } from "@/api/queries";
import { methodName } from "@/payments/cards";
import { ConfirmDialog } from "@/ui/ConfirmDialog";
import { type Column, DataList } from "@/ui/DataList";
import { Section } from "@/ui/Section";
import { Empty, Loaded } from "@/ui/states";
import { StatusBadge } from "@/ui/StatusBadge";

type Method = Schemas["PaymentMethod"];

export function PaymentMethods() {
  const query = useQuery(paymentMethodsQuery);
  const [removing, setRemoving] = useState<Method | null>(null);
  const columns: Column<Method>[] = [
    { key: "name", header: "Method", heading: true, cell: methodName },
    {
      key: "default",
      header: "Pays by default",
      cell: (method) => (method.isDefault ? <StatusBadge status="active" label="Default" /> : "–"),
    },
    {
      key: "actions",
      header: "Actions",
      buttons: true,
      cell: (method) => <Actions method={method} onRemove={() => setRemoving(method)} />,
    },
  ];
  return (
    <Section title="Payment methods">
      <Loaded
        query={query}
        isEmpty={(methods) => methods.length === 0}
        empty={<Empty title="None saved">A card is saved when you pay for a plan with it.</Empty>}
      >
        {(methods) => (
          <DataList label="Payment methods" rows={methods} columns={columns} rowKey={(method) => method.id} />
        )}
      </Loaded>
      {removing ? <RemoveDialog method={removing} onClose={() => setRemoving(null)} /> : null}
    </Section>
  );
}

function Actions({ method, onRemove }: { method: Method; onRemove: () => void }) {
  const queryClient = useQueryClient();
  const makeDefault = useMutation({
    mutationFn: () => api.PUT("/payment-methods/default", { body: { paymentMethodId: method.id } }),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.billing.paymentMethods }),
    onError: (error) => notifications.show({ color: "red", message: messageOf(error) }),
  });
  return (
    <Group gap="xs">
      {method.isDefault ? null : (
        <Button
          size="xs"
          variant="default"
          loading={makeDefault.isPending}
          onClick={() => makeDefault.mutate()}
          aria-label={`Pay with ${methodName(method)} by default`}
        >
          Make default
        </Button>
      )}
      <Button
        size="xs"
        variant="subtle"
        color="red"
        onClick={onRemove}
        aria-label={`Remove ${methodName(method)}`}
      >
        Remove
      </Button>
    </Group>
  );
}

function RemoveDialog({ method, onClose }: { method: Method; onClose: () => void }) {
  const queryClient = useQueryClient();
  const remove = async () => {
    await api.DELETE("/payment-methods/{methodId}", { params: { path: { methodId: method.id } } });
    await queryClient.invalidateQueries({ queryKey: keys.billing.paymentMethods });
  };
  return (
    <ConfirmDialog
      opened
      title={`Remove ${methodName(method)}?`}
      action="Remove"
      danger
      onConfirm={remove}
      onClose={onClose}
    >
      <Text>Payments need another method then.</Text>
    </ConfirmDialog>
  );
}
