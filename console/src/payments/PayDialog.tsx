/** Asks how to pay, pays, and stays open until the payment is decided. */
import { Alert, Anchor, Button, Group, Loader, Modal, Radio, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense, useState } from "react";

import { configQuery, paymentMethodsQuery } from "@/api/queries";
import { ErrorState, Loading } from "@/ui/states";

import { choicesOf, NEW_CARD } from "./cards";
import type { MakeMethod } from "./NewCard";
import type { Payment } from "./payment";
import { type Payable, usePayment } from "./usePayment";

const NewCard = lazy(async () => ({ default: (await import("./NewCard")).NewCard }));

interface PayDialogProps extends Payable {
  title: string;
  amountCents: number;
  /** What is done, as a verb with its price: "Pay $9.99". */
  action: string;
  onPaid: () => void;
  onClose: () => void;
  children: ReactNode;
}

export function PayDialog(props: PayDialogProps) {
  const { title, onClose, children } = props;
  const methods = useQuery(paymentMethodsQuery);
  const config = useQuery(configQuery);
  const error = methods.error ?? config.error;
  return (
    <Modal opened onClose={onClose} title={title}>
      <Stack>
        {children}
        {error ? <ErrorState error={error} /> : null}
        {methods.data && config.data ? (
          <Form
            {...props}
            choices={choicesOf(methods.data, config.data)}
            publishableKey={config.data.stripePublishableKey}
          />
        ) : error ? null : (
          <Loading rows={2} />
        )}
      </Stack>
    </Modal>
  );
}

interface FormProps extends PayDialogProps {
  choices: { id: string; name: string }[];
  publishableKey: string | null;
}

function Form({ choices, publishableKey, amountCents, action, onPaid, onClose, pay, read }: FormProps) {
  const [chosen, setChosen] = useState(choices[0]?.id ?? "");
  const [makeMethod, setMakeMethod] = useState<{ make: MakeMethod } | null>(null);
  const { payment, busy, start } = usePayment({ pay, read }, publishableKey, onPaid);
  const isNew = chosen === NEW_CARD;
  const isOpen = payment?.state === "working" || payment?.state === "asks";
  if (choices.length === 0)
    return <Alert color="gray">This service has no way to pay. Ask whoever runs it.</Alert>;
  return (
    <>
      <Radio.Group label="Pay with" value={chosen} onChange={setChosen}>
        <Stack gap="xs" mt="xs">
          {choices.map(({ id, name }) => (
            <Radio key={id} value={id} label={name} disabled={busy || isOpen} />
          ))}
        </Stack>
      </Radio.Group>
      {isNew && publishableKey ? (
        <Suspense fallback={<Loader />}>
          <NewCard
            publishableKey={publishableKey}
            amountCents={amountCents}
            onReady={(make) => setMakeMethod({ make })}
          />
        </Suspense>
      ) : null}
      <State payment={payment} />
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Close
        </Button>
        <Button
          loading={busy || payment?.state === "working"}
          disabled={payment?.state === "asks" || (isNew && !makeMethod)}
          onClick={() =>
            void start(chosen, () => (isNew && makeMethod ? makeMethod.make() : Promise.resolve(chosen)))
          }
        >
          {action}
        </Button>
      </Group>
    </>
  );
}

function State({ payment }: { payment: Payment | null }) {
  switch (payment?.state) {
    case "refused":
      return (
        <Alert color="red" role="alert" title="Not paid">
          {payment.reason}
        </Alert>
      );
    case "asks":
      return (
        <Alert color="copper" role="status" title="Your bank asks you">
          <Text size="sm">This page goes on by itself once you have answered.</Text>
          {payment.authenticationUrl ? (
            <Anchor href={payment.authenticationUrl} target="_blank" rel="noopener noreferrer">
              Open the bank&apos;s page
            </Anchor>
          ) : null}
        </Alert>
      );
    case "working":
      return (
        <Text size="sm" c="dimmed" role="status">
          Waiting for the bank …
        </Text>
      );
    default:
      return null;
  }
}
