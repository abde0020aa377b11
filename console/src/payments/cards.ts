/** Payment methods as a user chooses them. */
import type { Schemas } from "@/api/client";

const BRANDS: Record<string, string> = {
  visa: "Visa",
  mastercard: "Mastercard",
  amex: "American Express",
  discover: "Discover",
};

/** "Visa ending in 4242, 12/2030". */
export function methodName(method: Schemas["PaymentMethod"]): string {
  const brand = BRANDS[method.brand ?? ""] ?? method.brand ?? method.type;
  const ending = method.last4 ? ` ending in ${method.last4}` : "";
  const until =
    method.expMonth && method.expYear
      ? `, ${String(method.expMonth).padStart(2, "0")}/${method.expYear}`
      : "";
  return `${brand}${ending}${until}`;
}

/** Stripe's test cards: https://docs.stripe.com/testing (they work where no real money moves). */
export const TEST_CARDS = [
  { id: "pm_card_visa", name: "Test card that pays" },
  { id: "pm_card_authenticationRequired", name: "Test card whose bank asks you (3-D Secure)" },
  { id: "pm_card_chargeDeclined", name: "Test card that is declined" },
];

/** The value of a choice that stands for a card that is entered now. */
export const NEW_CARD = "new";

export interface Choice {
  id: string;
  name: string;
}

/** The choices of a payment: saved methods first, the default one at the top, then how to pay otherwise. */
export function choicesOf(
  methods: readonly Schemas["PaymentMethod"][],
  config: Pick<Schemas["ClientConfig"], "stripePublishableKey" | "testCards">,
): Choice[] {
  const saved = [...methods].sort((a, b) => Number(b.isDefault) - Number(a.isDefault));
  return [
    ...saved.map((method) => ({ id: method.id, name: methodName(method) })),
    ...(config.stripePublishableKey ? [{ id: NEW_CARD, name: "Another card" }] : []),
    ...(config.testCards ? TEST_CARDS : []),
  ];
}
