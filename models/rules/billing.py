"""What Stripe's words mean for us: which object an event is about, what a subscription entitles to, what goes back."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any

from models.rules.pricing import CENT, Tier

GRACE = timedelta(days=3)  # how long a subscription that is past due still entitles

# Our ids on what we make at Stripe, so that it can be found from there.
USER, PURCHASE, REQUEST, PACKAGE = "agentforge_user", "agentforge_purchase", "agentforge_request", "agentforge_package"

PAID, IN_TRIAL, PAST_DUE = "active", "trialing", "past_due"
OVER = frozenset({"canceled", "incomplete_expired"})
WITHOUT = OVER | {"incomplete", "unpaid", "paused"}

INQUIRY = frozenset({"warning_needs_response", "warning_under_review", "warning_closed"})
DISPUTE_OPEN = frozenset({"needs_response", "under_review", "appeal_needs_response", "appeal_under_review"})
DISPUTE_TAKES = DISPUTE_OPEN | {"lost"}
DISPUTE_TAKES_NOT = INQUIRY | {"won", "prevented"}
REFUND_STATUSES = frozenset({"pending", "requires_action", "succeeded", "failed", "canceled"})


class Subject(StrEnum):
    """What an event is about, and so what is read from Stripe again before anything is done."""

    PAYMENT = "payment_intent"
    REFUND = "refund"
    CHARGE = "charge"  # its refunds
    DISPUTE = "dispute"
    SUBSCRIPTION = "subscription"
    INVOICE = "invoice"
    UPCOMING_INVOICE = "upcoming_invoice"  # there is nothing to read yet
    INVOICE_PAYMENT = "invoice_payment"
    CUSTOMER = "customer"
    PAYMENT_METHOD = "payment_method"
    ALERT = "alert"  # for a person to look at


def _events(subject: Subject, prefix: str, names: str) -> dict[str, Subject]:
    return {f"{prefix}.{name}": subject for name in names.split()}


# Every type that has an effect; the others are stored and ignored.
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
    """The id of what a field refers to, whether it was expanded or not."""
    return value.get("id") if isinstance(value, Mapping) else value


def entitlement(status: str, tier: Tier, before: Tier, *, in_grace: bool) -> Tier:
    """What a subscription to `tier` entitles to; `before` is what it did until now.

    A status that we do not know gives nothing new, and takes nothing away before a person has looked.
    """
    if status in (PAID, IN_TRIAL) or (status == PAST_DUE and in_grace):
        return tier
    return Tier.FREE if status in WITHOUT or status == PAST_DUE else lowest(tier, before)


def highest(*tiers: Tier) -> Tier:
    """The one that allows most."""
    return max(tiers, key=list(Tier).index, default=Tier.FREE)


def lowest(*tiers: Tier) -> Tier:
    """The one that allows least."""
    return min(tiers, key=list(Tier).index, default=Tier.FREE)


def share(granted: Decimal, returned_cents: int, paid_cents: int) -> Decimal:
    """Credits to take back in all once `returned_cents` of `paid_cents` went back; never more than `granted`."""
    part = granted * min(returned_cents, paid_cents) / paid_cents
    return part.quantize(CENT, rounding=ROUND_HALF_UP)
