/** A form for a card, by Stripe's own fields: the number never reaches this page. Loaded when it is opened. */
import { useMantineColorScheme } from "@mantine/core";
import { Elements, PaymentElement, useElements, useStripe } from "@stripe/react-stripe-js";
import { loadStripe } from "@stripe/stripe-js";
import { useEffect, useMemo } from "react";

/** Makes a payment method of what was entered; throws what is wrong with it, as a sentence. */
export type MakeMethod = () => Promise<string>;

interface NewCardProps {
  publishableKey: string;
  amountCents: number;
  onReady: (make: MakeMethod) => void;
}

export function NewCard({ publishableKey, amountCents, onReady }: NewCardProps) {
  const stripe = useMemo(() => loadStripe(publishableKey), [publishableKey]);
  const { colorScheme } = useMantineColorScheme();
  return (
    <Elements
      stripe={stripe}
      options={{
        mode: "payment",
        amount: amountCents,
        currency: "usd",
        paymentMethodCreation: "manual",
        appearance: { theme: colorScheme === "dark" ? "night" : "stripe" },
      }}
    >
      <Fields onReady={onReady} />
    </Elements>
  );
}

function Fields({ onReady }: Pick<NewCardProps, "onReady">) {
  const stripe = useStripe();
  const elements = useElements();
  useEffect(() => {
    if (!stripe || !elements) return;
    onReady(async () => {
      const { error: wrong } = await elements.submit();
      if (wrong) throw new Error(wrong.message ?? "Check the card's fields.");
      const { error, paymentMethod } = await stripe.createPaymentMethod({ elements });
      if (error) throw new Error(error.message ?? "The card was not accepted.");
      return paymentMethod.id;
    });
  }, [stripe, elements, onReady]);
  return <PaymentElement />;
}

/** Let Stripe's script ask the customer; throws the bank's refusal as a sentence. */
export async function askBank(publishableKey: string, clientSecret: string): Promise<void> {
  const stripe = await loadStripe(publishableKey);
  const answer = await stripe?.handleNextAction({ clientSecret });
  if (answer?.error) throw new Error(answer.error.message ?? "The bank did not confirm the payment.");
}
