import { describe, expect, it } from "vitest";

import type { Schemas } from "@/api/client";

import { choicesOf, methodName, NEW_CARD, TEST_CARDS } from "./cards";

const VISA: Schemas["PaymentMethod"] = {
  id: "5e0f0e9c-0000-4000-8000-000000000001",
  type: "card",
  brand: "visa",
  last4: "4242",
  expMonth: 3,
  expYear: 2030,
  isDefault: false,
  createdAt: "2026-11-30T08:00:00Z",
};

describe("methodName", () => {
  it("names brand, last digits and end", () => {
    expect(methodName(VISA)).toBe("Visa ending in 4242, 03/2030");
  });

  it("names the kind where there is no card", () => {
    expect(
      methodName({ ...VISA, type: "link", brand: null, last4: null, expMonth: null, expYear: null }),
    ).toBe("link");
  });
});

describe("choicesOf", () => {
  it("has the default method first", () => {
    const other = { ...VISA, id: "2", isDefault: true };
    const choices = choicesOf([VISA, other], { stripePublishableKey: null, testCards: false });
    expect(choices.map(({ id }) => id)).toEqual(["2", VISA.id]);
  });

  it("offers to enter a card with a publishable key, and test cards where they work", () => {
    expect(choicesOf([], { stripePublishableKey: "pk_1", testCards: false })).toEqual([
      { id: NEW_CARD, name: "Another card" },
    ]);
    expect(choicesOf([], { stripePublishableKey: null, testCards: true })).toEqual(TEST_CARDS);
  });
});
