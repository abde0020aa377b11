"""Shapes of invoices and their lines."""

from typing import Any

from simulators.stripe.state.account_state import AccountState, StripeObject

_NONE = (
    "account_tax_ids application automatically_finalizes_at custom_fields customer_account customer_address "
    "customer_phone customer_shipping default_payment_method default_source description due_date effective_at "
    "ending_balance footer from_invoice hosted_invoice_url invoice_pdf last_finalization_error latest_revision "
    "next_payment_attempt number on_behalf_of receipt_number rendering shipping_cost shipping_details "
    "statement_descriptor test_clock threshold_reason webhooks_delivered_at"
)
_ZERO = "amount_overpaid amount_paid amount_shipping attempt_count post_payment_credit_notes_amount "
_ZERO += "pre_payment_credit_notes_amount"
_EMPTY = "customer_tax_ids default_tax_rates discounts total_discount_amounts total_pretax_credit_amounts total_taxes"


def line(
    item: StripeObject, price: StripeObject, amount: int, period: tuple[int, int], text: str, *, proration: bool = False
) -> StripeObject:
    """One line of a future invoice."""
    priced = {"price": price["id"], "product": price["product"]}
    return {
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": text,
        "discount_amounts": [],
        "discountable": not proration,
        "discounts": [],
        "livemode": False,
        "metadata": {},
        "parent": _parent(item, proration),
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": priced,
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "subscription": item["subscription"],
        "subtotal": amount,
        "taxes": [],
    }


def _parent(item: StripeObject, proration: bool) -> StripeObject:
    details = {
        "invoice_item": None,
        "proration": proration,
        "proration_details": {"credited_items": None} if proration else None,
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    kind = "subscription_item_details"
    return {"invoice_item_details": None, "subscription_item_details": details, "type": kind}


def shape(world: AccountState, subscription: StripeObject, lines: list[StripeObject], reason: str) -> StripeObject:
    """The fields of a draft, without an id."""
    customer = world.get("customer", subscription["customer"])
    total = sum(one["amount"] for one in lines)
    start = min((one["period"]["start"] for one in lines), default=world.now())
    due, _ = after_balance(customer["balance"], total)
    details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    return _blank() | {
        "amount_due": due,
        "amount_remaining": due,
        "billing_reason": reason,
        "currency": subscription["currency"],
        "customer": customer["id"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "lines": {"object": "list", "data": lines, "has_more": False, "url": "/v1/invoices/upcoming/lines"},
        "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
        "period_end": world.now(),
        "period_start": min(start, world.now()),
        "starting_balance": customer["balance"],
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_excluding_tax": total,
    }


def after_balance(balance: int, total: int) -> tuple[int, int]:
    """The amount due of `total` cents, and the new balance; a negative balance is the customer's credit."""
    if total <= 0:
        return 0, balance + total
    return max(0, total + balance), min(0, total + balance)


def _blank() -> dict[str, Any]:
    fields: dict[str, Any] = dict.fromkeys(_NONE.split()) | dict.fromkeys(_ZERO.split(), 0)
    fields |= {name: [] for name in _EMPTY.split()}
    tax = {"disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None}
    return fields | {
        "account_country": "US",
        "account_name": "AgentForge",
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": tax,
        "collection_method": "charge_automatically",
        "customer_tax_exempt": "none",
        "issuer": {"type": "self"},
        "payment_settings": dict.fromkeys(("default_mandate", "payment_method_options", "payment_method_types")),
        "status": "draft",
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
    }
