/** A payment from the click to its end, whatever is paid for. */

/** How a payment stands: `asks` when the bank wants to hear from the customer. */
export type Payment =
  | { state: "paid" }
  | { state: "working" }
  | { state: "asks"; clientSecret: string | null; authenticationUrl: string | null }
  | { state: "refused"; reason: string };

const DECLINED = "The bank declined the payment. Nothing was charged.";

interface Asked {
  clientSecret: string | null;
  authenticationUrl: string | null;
}

export function paymentOfPurchase(
  purchase: Asked & { status: string; failure: Record<string, unknown> | null },
): Payment {
  switch (purchase.status) {
    case "succeeded":
      return { state: "paid" };
    case "requires_action":
      return asks(purchase);
    case "failed":
    case "canceled":
      return { state: "refused", reason: reasonOf(purchase.failure) };
    default:
      return { state: "working" }; // pending, processing, review
  }
}

export function paymentOfSubscription(subscribed: Asked & { subscription: { status: string } }): Payment {
  switch (subscribed.subscription.status) {
    case "active":
    case "trialing":
      return { state: "paid" };
    case "requires_action":
      return asks(subscribed);
    case "incomplete_expired":
    case "canceled":
      return { state: "refused", reason: DECLINED };
    default:
      return { state: "working" };
  }
}

function asks({ clientSecret, authenticationUrl }: Asked): Payment {
  return { state: "asks", clientSecret, authenticationUrl };
}

function reasonOf(failure: Record<string, unknown> | null): string {
  return typeof failure?.message === "string" ? failure.message : DECLINED;
}
