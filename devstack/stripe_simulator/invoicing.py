"""Invoices of subscriptions: made, finalized, collected, and what their payment does to the subscription."""

from devstack.stripe_simulator import payments
from devstack.stripe_simulator.errors import StripeError
from devstack.stripe_simulator.invoice_shape import after_balance, shape
from devstack.stripe_simulator.world import StripeObject, World


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


def _ask_for_payment(world: World, invoice: StripeObject) -> None:
    """Make the payment intent, and the link between it and the invoice."""
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
