/** Carries a payment to its end: pays, lets the bank ask, and follows until it is decided. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import { keys } from "@/api/keys";
import { ApiError, messageOf } from "@/api/problem";

import type { Payment } from "./payment";

const POLL_MS = 1500;

export interface Payable {
  /** Pay with a method; `key` makes a repeat after a lost connection the same payment. */
  pay: (methodId: string, key: string) => Promise<Payment>;
  /** How the payment stands now. */
  read: () => Promise<Payment>;
}

interface Attempt {
  key: string;
  choice: string;
  methodId: string;
}

export function usePayment({ pay, read }: Payable, publishableKey: string | null, onPaid: () => void) {
  const queryClient = useQueryClient();
  const [payment, setPayment] = useState<Payment | null>(null);
  const [busy, setBusy] = useState(false);
  const attempt = useRef<Attempt | null>(null);

  function settle(next: Payment) {
    setPayment(next);
    if (next.state !== "paid") return;
    for (const key of [keys.credits.all, keys.billing.all, keys.me]) {
      void queryClient.invalidateQueries({ queryKey: key });
    }
    onPaid();
  }

  async function start(choice: string, methodOf: () => Promise<string>) {
    setBusy(true);
    setPayment(null);
    try {
      if (attempt.current?.choice !== choice) {
        attempt.current = { key: crypto.randomUUID(), choice, methodId: await methodOf() };
      }
      const begun = await pay(attempt.current.methodId, attempt.current.key);
      attempt.current = null;
      settle(await asked(begun, publishableKey));
    } catch (error) {
      if (error instanceof ApiError) attempt.current = null; // it is decided, so the next try is another payment
      setPayment({ state: "refused", reason: messageOf(error) });
    } finally {
      setBusy(false);
    }
  }

  const isOpen = payment?.state === "working" || payment?.state === "asks";
  const settleRef = useRef(settle);
  const readRef = useRef(read);
  useEffect(() => {
    settleRef.current = settle;
    readRef.current = read;
  });
  useEffect(() => {
    if (!isOpen) return;
    const timer = setInterval(() => {
      // A failed look is repeated by the next one.
      readRef.current().then(
        (next) => settleRef.current(next),
        () => undefined,
      );
    }, POLL_MS);
    return () => clearInterval(timer);
  }, [isOpen]);

  return { payment, busy, start };
}

/** With Stripe's script the bank asks in this page; without it the customer follows the link. */
async function asked(payment: Payment, publishableKey: string | null): Promise<Payment> {
  if (payment.state !== "asks" || !publishableKey || !payment.clientSecret) return payment;
  const { askBank } = await import("./NewCard");
  await askBank(publishableKey, payment.clientSecret);
  return { state: "working" };
}
