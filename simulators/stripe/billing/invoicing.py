"""Invoices of subscriptions: created, finalized, collected, and their effect on the subscription."""

from simulators.stripe.billing.invoice_shape import after_balance, shape
from simulators.stripe.payments import payments
from simulators.stripe.state.account_state import AccountState, StripeObject
from simulators.stripe.state.errors import StripeError


def draft(world: AccountState, subscription: StripeObject, lines: list[StripeObject], reason: str) -> StripeObject:
    """Create an invoice, the latest one of its subscription."""
    invoice = world.add("in", "invoice", **shape(world, subscription, lines, reason))
    for one in lines:
        one |= {"id": world.new_id("il"), "invoice": invoice["id"]}
    invoice["lines"]["url"] = f"/v1/invoices/{invoice['id']}/lines"
    subscription["latest_invoice"] = invoice["id"]
    world.hidden[invoice["id"]]["subscription"] = subscription["id"]
    world.emit("invoice.created", invoice)
    return invoice


def finalize(world: AccountState, invoice: StripeObject) -> None:
    """Give it a number and a payment intent; an invoice over nothing is paid at once."""
    customer = world.get("customer", invoice["customer"])
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer["next_invoice_sequence"] += 1
    page = f"{world.base_url}/invoices/{invoice['id']}"
    with world.changing(invoice, "invoice.finalized"):
        invoice["starting_balance"] = customer["balance"]  # it may have changed since the draft
        invoice["amount_due"], customer["balance"] = after_balance(customer["balance"], invoice["total"])
        invoice |= {"amount_remaining": invoice["amount_due"], "ending_balance": customer["balance"]}
        invoice |= {"status": "open", "number": number, "effective_at": world.now()}
        invoice |= {"hosted_invoice_url": page, "invoice_pdf": f"{page}/pdf", "automatically_finalizes_at": None}
        invoice["status_transitions"] = invoice["status_transitions"] | {"finalized_at": world.now()}
    if invoice["amount_due"] == 0:
        mark_paid(world, invoice)
    else:
        _ask_for_payment(world, invoice)


def _ask_for_payment(world: AccountState, invoice: StripeObject) -> None:
    """Create the payment intent, and its link to the invoice."""
    intent = payments.new_intent(
        world,
        invoice["amount_due"],
        invoice["currency"],
        customer=invoice["customer"],
        description=_WHAT.get(invoice["billing_reason"], "Subscription update"),
        setup_future_usage="off_session",
    )
    payment = world.add(
        "inpay",
        "invoice_payment",
        amount_paid=None,
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=True,
        payment={"charge": None, "payment_intent": intent["id"], "payment_record": None, "type": "payment_intent"},
        status="open",
        status_transitions={"canceled_at": None, "paid_at": None},
    )
    world.hidden[intent["id"]]["invoice"] = invoice["id"]
    world.hidden[invoice["id"]] |= {"intent": intent["id"], "payment": payment["id"]}


_WHAT = {"subscription_create": "Subscription creation", "subscription_cycle": "Subscription renewal"}


def intent_of(world: AccountState, invoice: StripeObject) -> StripeObject | None:
    """The payment intent of a finalized invoice, None for one over nothing."""
    intent_id = world.hidden[invoice["id"]].get("intent")
    return world.get("payment_intent", intent_id) if intent_id else None


def method_for(world: AccountState, subscription: StripeObject) -> str | None:
    """The card that is charged automatically."""
    customer = world.get("customer", subscription["customer"])
    return subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]


def collect(world: AccountState, invoice: StripeObject, method: str | None = None) -> StripeError | None:
    """Charge the stored card; return the decline, if it was declined."""
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


def after_payment(world: AccountState, intent: StripeObject) -> None:
    """Update the invoice of a payment intent after a payment or a failure."""
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


def mark_paid(world: AccountState, invoice: StripeObject, intent: StripeObject | None = None) -> None:
    """Mark the invoice as paid and reactivate its subscription."""
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


def close_unpaid(world: AccountState, invoice: StripeObject, status: str) -> None:
    """Void the invoice or write it off."""
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


def subscription_of(world: AccountState, invoice: StripeObject) -> StripeObject:
    """The invoice's subscription."""
    return world.get("subscription", world.hidden[invoice["id"]]["subscription"])


def _failed(world: AccountState, invoice: StripeObject) -> None:
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    world.invoice_failed(invoice)
    world.emit("invoice.payment_failed", invoice)
