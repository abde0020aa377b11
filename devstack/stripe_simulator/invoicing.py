"""Invoices of subscriptions: made, finalized, collected, and what their payment does to the subscription."""

from calendar import monthrange
from datetime import UTC, datetime
from typing import Any

from devstack.stripe_simulator import payments
from devstack.stripe_simulator.errors import StripeError
from devstack.stripe_simulator.world import StripeObject, World

HOUR, DAY = 3600, 24 * 3600
_NONE = (
    "account_tax_ids application automatically_finalizes_at custom_fields customer_account customer_address "
    "customer_phone customer_shipping default_payment_method default_source due_date effective_at ending_balance "
    "footer from_invoice hosted_invoice_url invoice_pdf last_finalization_error latest_revision next_payment_attempt "
    "number on_behalf_of receipt_number rendering shipping_cost shipping_details statement_descriptor test_clock "
    "threshold_reason webhooks_delivered_at"
)
_ZERO = "amount_overpaid amount_paid amount_shipping attempt_count post_payment_credit_notes_amount "
_ZERO += "pre_payment_credit_notes_amount"
_EMPTY = "default_tax_rates discounts total_discount_amounts total_pretax_credit_amounts total_taxes"


def add_months(start: int, months: int) -> int:
    """The same day and time so many months later, or the month's last day."""
    moment = datetime.fromtimestamp(start, UTC)
    index = moment.month - 1 + months
    year, month = moment.year + index // 12, index % 12 + 1
    day = min(moment.day, monthrange(year, month)[1])
    return int(moment.replace(year=year, month=month, day=day).timestamp())


def line(
    item: StripeObject, price: StripeObject, amount: int, period: tuple[int, int], text: str, *, proration: bool = False
) -> StripeObject:
    """One line of an invoice that has not been made yet."""
    details = {
        "invoice_item": None,
        "proration": proration,
        "proration_details": {"credited_items": None} if proration else None,
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
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
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        },
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


def shape(world: World, subscription: StripeObject, lines: list[StripeObject], reason: str) -> StripeObject:
    """The fields of a draft, without an id."""
    customer = world.get("customer", subscription["customer"])
    total, balance = sum(one["amount"] for one in lines), customer["balance"]
    due = max(0, total + balance) if total > 0 else 0
    start = min((one["period"]["start"] for one in lines), default=world.now())
    details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    fields: dict[str, Any] = dict.fromkeys(_NONE.split()) | dict.fromkeys(_ZERO.split(), 0)
    return (
        fields
        | {name: [] for name in _EMPTY.split()}
        | {
            "account_country": "US",
            "account_name": "AgentForge",
            "amount_due": due,
            "amount_remaining": due,
            "attempted": False,
            "auto_advance": True,
            "automatic_tax": {
                "disabled_reason": None,
                "enabled": False,
                "liability": None,
                "provider": None,
                "status": None,
            },
            "billing_reason": reason,
            "collection_method": "charge_automatically",
            "currency": subscription["currency"],
            "customer": customer["id"],
            "customer_email": customer["email"],
            "customer_name": customer["name"],
            "customer_tax_exempt": "none",
            "customer_tax_ids": [],
            "description": None,
            "issuer": {"type": "self"},
            "lines": {"object": "list", "data": lines, "has_more": False, "url": "/v1/invoices/upcoming/lines"},
            "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
            "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
            "period_end": world.now(),
            "period_start": min(start, world.now()),
            "starting_balance": balance,
            "status": "draft",
            "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
            "subtotal": total,
            "subtotal_excluding_tax": total,
            "total": total,
            "total_excluding_tax": total,
        }
    )


def draft(world: World, subscription: StripeObject, lines: list[StripeObject], reason: str) -> StripeObject:
    """Make an invoice, the latest one of its subscription."""
    invoice = world.add("in", "invoice", **shape(world, subscription, lines, reason))
    for one in lines:
        one |= {"id": world.new_id("il"), "invoice": invoice["id"]}
    invoice["lines"]["url"] = f"/v1/invoices/{invoice['id']}/lines"
    subscription["latest_invoice"] = invoice["id"]
    world.hidden[invoice["id"]]["subscription"] = subscription["id"]
    world.emit("invoice.created", invoice)
    return invoice


def finalize(world: World, invoice: StripeObject) -> None:
    """Give it a number and a payment intent; one over nothing is paid at once."""
    customer = world.get("customer", invoice["customer"])
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer["next_invoice_sequence"] += 1
    page = f"{world.base_url}/invoices/{invoice['id']}"
    invoice["ending_balance"] = min(0, invoice["starting_balance"] + invoice["total"])
    if invoice["total"] > 0:
        customer["balance"] += min(-customer["balance"], invoice["total"]) if customer["balance"] < 0 else 0
    else:
        customer["balance"] += invoice["total"]
    with world.changing(invoice, "invoice.finalized"):
        invoice |= {"status": "open", "number": number, "effective_at": world.now()}
        invoice |= {"hosted_invoice_url": page, "invoice_pdf": f"{page}/pdf", "automatically_finalizes_at": None}
        invoice["status_transitions"] = invoice["status_transitions"] | {"finalized_at": world.now()}
    if invoice["amount_due"] == 0:
        mark_paid(world, invoice)
        return
    intent = payments.new_intent(
        world,
        invoice["amount_due"],
        invoice["currency"],
        customer=invoice["customer"],
        description=_WHAT.get(invoice["billing_reason"], "Subscription update"),
        setup_future_usage="off_session",
    )
    world.hidden[intent["id"]]["invoice"] = invoice["id"]
    world.hidden[invoice["id"]]["intent"] = intent["id"]
    empty = {"charge": None, "payment_record": None}
    payment = world.add(
        "inpay",
        "invoice_payment",
        amount_paid=None,
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        payment={"payment_intent": intent["id"], "type": "payment_intent"} | empty,
        status="open",
        status_transitions={"canceled_at": None, "paid_at": None},
    )
    world.hidden[invoice["id"]]["payment"] = payment["id"]


_WHAT = {"subscription_create": "Subscription creation", "subscription_cycle": "Subscription renewal"}


def intent_of(world: World, invoice: StripeObject) -> StripeObject | None:
    """The payment intent of a finalized invoice over more than nothing."""
    intent_id = world.hidden[invoice["id"]].get("intent")
    return world.get("payment_intent", intent_id) if intent_id else None


def method_for(world: World, subscription: StripeObject) -> str | None:
    """The card that is charged without asking."""
    customer = world.get("customer", subscription["customer"])
    return subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]


def collect(world: World, invoice: StripeObject, method: str | None = None) -> StripeError | None:
    """Charge the card on file; the decline, if it was declined."""
    intent = intent_of(world, invoice)
    if intent is None or intent["status"] not in payments.OPEN:
        return None
    subscription = subscription_of(world, invoice)
    method = method or method_for(world, subscription)
    if method is None:
        _failed(world, invoice)
        message = "Cannot charge a customer that has no active card"
        return StripeError(400, message, code="missing", param="customer")
    intent["payment_method"] = method
    try:
        payments.confirm(world, intent)
    except StripeError as error:
        return error
    return None


def after_payment(world: World, intent: StripeObject) -> None:
    """What the fate of a payment does to the invoice that it is for."""
    invoice_id = world.hidden[intent["id"]].get("invoice")
    if invoice_id is None:
        return
    invoice = world.get("invoice", invoice_id)
    if invoice["status"] not in ("open", "uncollectible"):
        return
    if intent["status"] == "succeeded":
        mark_paid(world, invoice, intent)
    elif intent["status"] == "requires_action":
        world.emit("invoice.payment_action_required", invoice)
        if invoice["billing_reason"] != "subscription_create":
            _failed(world, invoice)
    elif intent["status"] == "requires_payment_method":
        _failed(world, invoice)


def mark_paid(world: World, invoice: StripeObject, intent: StripeObject | None = None) -> None:
    """The invoice is settled, so the subscription is in order again."""
    due = invoice["amount_due"]
    with world.changing(invoice, "invoice.updated"):
        invoice |= {"status": "paid", "amount_paid": due, "amount_remaining": 0, "next_payment_attempt": None}
        invoice |= {"attempted": True, "auto_advance": False}
        invoice["attempt_count"] += 1 if due else 0
        invoice["status_transitions"] = invoice["status_transitions"] | {"paid_at": world.now()}
    world.emit("invoice.paid", invoice)
    world.emit("invoice.payment_succeeded", invoice)
    payment_id = world.hidden[invoice["id"]].get("payment")
    if payment_id and intent:
        payment = world.get("invoice_payment", payment_id)
        payment |= {"status": "paid", "amount_paid": due}
        payment["status_transitions"] = {"canceled_at": None, "paid_at": world.now()}
        world.emit("invoice_payment.paid", payment)
    world.invoice_settled(invoice, intent)


def close_unpaid(world: World, invoice: StripeObject, status: str) -> None:
    """Void it or write it off."""
    stamp = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}[status]
    kind = {"void": "invoice.voided", "uncollectible": "invoice.marked_uncollectible"}[status]
    with world.changing(invoice, kind):
        invoice |= {"status": status, "auto_advance": False, "next_payment_attempt": None}
        invoice["status_transitions"] = invoice["status_transitions"] | {stamp: world.now()}
    intent = intent_of(world, invoice)
    if status == "void" and intent and intent["status"] in payments.OPEN:
        payments.cancel(world, intent, "void_invoice")
        payment = world.get("invoice_payment", world.hidden[invoice["id"]]["payment"])
        payment |= {"status": "canceled", "status_transitions": {"canceled_at": world.now(), "paid_at": None}}


def subscription_of(world: World, invoice: StripeObject) -> StripeObject:
    """Whose invoice it is."""
    return world.get("subscription", world.hidden[invoice["id"]]["subscription"])


def _failed(world: World, invoice: StripeObject) -> None:
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    world.invoice_failed(invoice)
    world.emit("invoice.payment_failed", invoice)
