"""The meaning of Stripe's objects: an event's subject, a subscription's entitlements, the credits of a refund."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any

from models.rules.prices.pricing import CENT, Tier

GRACE = timedelta(days=3)  # for which a subscription that is past due still grants its tier

# The names of our ids in the metadata of objects that we create at Stripe.
USER, PURCHASE, REQUEST, PACKAGE = "agentforge_user", "agentforge_purchase", "agentforge_request", "agentforge_package"

PAID, IN_TRIAL, PAST_DUE = "active", "trialing", "past_due"
OVER = frozenset({"canceled", "incomplete_expired"})
# Statuses of payment intents that can still be paid or canceled.
PAYABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
UNFINISHED = "incomplete"  # the first payment is open
WITHOUT = OVER | {"incomplete", "unpaid", "paused"}

INQUIRY = frozenset({"warning_needs_response", "warning_under_review", "warning_closed"})
DISPUTE_OPEN = frozenset({"needs_response", "under_review", "appeal_needs_response", "appeal_under_review"})
DISPUTE_TAKES = DISPUTE_OPEN | {"lost"}
DISPUTE_TAKES_NOT = INQUIRY | {"won", "prevented"}
REFUND_STATUSES = frozenset({"pending", "requires_action", "succeeded", "failed", "canceled"})


class Subject(StrEnum):
    """The kind of object that an event is about; handling the event reads the object from Stripe."""

    PAYMENT = "payment_intent"
    REFUND = "refund"
    CHARGE = "charge"  # its refunds
    DISPUTE = "dispute"
    SUBSCRIPTION = "subscription"
    INVOICE = "invoice"
    UPCOMING_INVOICE = "upcoming_invoice"  # cannot be read, because it has no id
    INVOICE_PAYMENT = "invoice_payment"
    CUSTOMER = "customer"
    PAYMENT_METHOD = "payment_method"
    ALERT = "alert"  # raises an alert for a person


def _events(subject: Subject, prefix: str, names: str) -> dict[str, Subject]:
    return {f"{prefix}.{name}": subject for name in names.split()}


# The types of events that we handle; the others are stored and ignored.
EVENTS: Mapping[str, Subject] = {
    **_events(
        Subject.PAYMENT, "payment_intent", "created succeeded payment_failed requires_action processing canceled"
    ),
    **_events(Subject.REFUND, "refund", "created updated failed"),
    **_events(Subject.REFUND, "charge.refund", "updated"),
    **_events(Subject.CHARGE, "charge", "refunded"),
    **_events(Subject.DISPUTE, "charge.dispute", "created updated closed funds_withdrawn funds_reinstated"),
    **_events(
        Subject.SUBSCRIPTION,
        "customer.subscription",
        "created updated deleted paused resumed pending_update_applied pending_update_expired trial_will_end",
    ),
    **_events(
        Subject.INVOICE,
        "invoice",
        "created finalized updated paid payment_failed payment_action_required voided marked_uncollectible"
        " finalization_failed overdue",
    ),
    **_events(Subject.UPCOMING_INVOICE, "invoice", "upcoming"),
    **_events(Subject.INVOICE_PAYMENT, "invoice_payment", "paid"),
    **_events(Subject.CUSTOMER, "customer", "created updated deleted"),
    **_events(Subject.PAYMENT_METHOD, "payment_method", "attached detached updated automatically_updated"),
    **_events(Subject.ALERT, "radar.early_fraud_warning", "created"),
    **_events(Subject.ALERT, "credit_note", "created"),
}


def ref(value: Any) -> str | None:
    """The id in a field that refers to an object, whether it was expanded or not."""
    return value.get("id") if isinstance(value, Mapping) else value


def authentication_url(intent: Mapping[str, Any]) -> str | None:
    """The page on which the customer's bank asks for their confirmation; None if it does not ask, or only in a script.

    Stripe names it in `next_action`, by its type: https://docs.stripe.com/api/payment_intents/object
    """
    action = intent.get("next_action") or {}
    details = action.get(action.get("type")) or {}
    return details.get("url") or details.get("stripe_js")


def plan_item(subscription: Mapping[str, Any], tiers: Mapping[str, str], known: str | None = None) -> Mapping[str, Any]:
    """The item of a subscription that is its plan; add-ons may come before or after it.

    Args:
        subscription: the subscription as it is at Stripe.
        tiers: tiers by the id of their price; the item with the highest tier is the plan.
        known: the id of the item that was the plan before, for a price that is not sold any more.
    """
    items: list[Mapping[str, Any]] = subscription["items"]["data"]
    plans = [item for item in items if ref(item["price"]) in tiers]
    if plans:
        return max(plans, key=lambda item: list(Tier).index(Tier(tiers[str(ref(item["price"]))])))
    return next((item for item in items if item["id"] == known), items[0])


def collects_nothing(subscription: Mapping[str, Any]) -> bool:
    """Whether the collection of a subscription's payments is paused and its invoices are voided."""
    return (subscription.get("pause_collection") or {}).get("behavior") == "void"


def entitlement(status: str, tier: Tier, before: Tier, *, in_grace: bool) -> Tier:
    """The tier that a subscription to `tier` grants with this status; `before` is the tier that it granted until now.

    An unknown status neither raises the tier nor ends the grant, until a person has decided.
    """
    if status in (PAID, IN_TRIAL) or (status == PAST_DUE and in_grace):
        return tier
    return Tier.FREE if status in WITHOUT or status == PAST_DUE else lowest(tier, before)


def highest(*tiers: Tier) -> Tier:
    """The highest of the tiers; free without any."""
    return max(tiers, key=list(Tier).index, default=Tier.FREE)


def lowest(*tiers: Tier) -> Tier:
    """The lowest of the tiers; free without any."""
    return min(tiers, key=list(Tier).index, default=Tier.FREE)


def share(granted: Decimal, returned_cents: int, paid_cents: int) -> Decimal:
    """The credits to claw back in total after a return of `returned_cents` of `paid_cents`; at most `granted`."""
    part = granted * min(returned_cents, paid_cents) / paid_cents
    return part.quantize(CENT, rounding=ROUND_HALF_UP)
