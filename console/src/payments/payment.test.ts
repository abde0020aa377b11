import { describe, expect, it } from "vitest";

import { paymentOfPurchase, paymentOfSubscription } from "./payment";

const SECRETS = { clientSecret: "pi_1_secret_2", authenticationUrl: "https://bank.test/1" };

describe("a purchase", () => {
  const purchase = (status: string, failure: Record<string, unknown> | null = null) =>
    paymentOfPurchase({ ...SECRETS, status, failure });

  it.each(["pending", "processing", "review"])("that is %s goes on", (status) => {
    expect(purchase(status)).toEqual({ state: "working" });
  });

  it("that needs the customer names the bank's page", () => {
    expect(purchase("requires_action")).toEqual({ state: "asks", ...SECRETS });
  });

  it("that failed says why", () => {
    expect(purchase("failed", { message: "Your card has expired." })).toEqual({
      state: "refused",
      reason: "Your card has expired.",
    });
    expect(purchase("canceled")).toMatchObject({ state: "refused" });
  });

  it("that succeeded is paid", () => {
    expect(purchase("succeeded")).toEqual({ state: "paid" });
  });
});

describe("a subscription", () => {
  const subscription = (status: string) => paymentOfSubscription({ ...SECRETS, subscription: { status } });

  it("is paid once it is active", () => {
    expect(subscription("active")).toEqual({ state: "paid" });
    expect(subscription("incomplete")).toEqual({ state: "working" });
  });

  it("waits for the bank, and ends when nobody answers", () => {
    expect(subscription("requires_action")).toEqual({ state: "asks", ...SECRETS });
    expect(subscription("incomplete_expired")).toMatchObject({ state: "refused" });
  });
});
