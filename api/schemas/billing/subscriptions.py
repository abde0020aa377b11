"""Schemas of subscriptions and tiers."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from marshmallow import fields, validate

from api.schemas.base import AppIn, Boolean, EnumText, Id, In, Integer, Number, Out, String, Time
from api.schemas.billing.payment_methods import MethodId
from api.schemas.executions.usage import QuotasOut
from models.rules.prices.pricing import PLANS, UNLIMITED, Limits, Tier
from models.tables import Subscription, User


class PriceIn(AppIn):
    """The plan to change to, by the id of its price at Stripe."""

    price_id = fields.String(required=True, validate=validate.Length(min=1, max=255))


class SubscribeIn(PriceIn):
    """The plan to subscribe to; without a payment method the app confirms the first payment."""

    payment_method_id = MethodId(load_default=None, allow_none=True)


class LimitsOut(Out):
    """The limits of a tier; -1 is unlimited."""

    max_workflows = Integer()
    max_nodes = Integer()
    api_calls_per_month = Integer()
    storage_mb = Integer(data_key="storageMB")
    max_pending_runs = Integer()
    max_schedules = Integer()
    min_schedule_seconds = Integer()


class PlanOut(Out):
    """A plan and what it includes; `priceId` is null for the free one."""

    tier = EnumText(Tier)
    price_id = String(allow_none=True)
    price_cents = Integer()
    currency = fields.Constant("USD", metadata=String.shape)
    limits = fields.Nested(LimitsOut)
    history_days = Integer()
    features = fields.List(String())


class CurrentOut(Out):
    """The current tier and its subscription; a free account is always `active`."""

    tier = EnumText(Tier)
    status = String()
    price_id = String(allow_none=True)
    current_period_start = Time(allow_none=True)
    current_period_end = Time(allow_none=True)
    cancel_at_period_end = Boolean()
    past_due_since = Time(allow_none=True)
    limits = fields.Nested(LimitsOut)
    history_days = Integer()
    features = fields.List(String())
    usage = fields.Nested(QuotasOut)


class SubscriptionOut(Out):
    """A subscription; `tier` is the tier that it pays for, even before the first payment."""

    tier = EnumText(Tier)
    status = String()
    price_id = String()
    current_period_start = Time(allow_none=True)
    current_period_end = Time(allow_none=True)
    cancel_at_period_end = Boolean()


class SubscribedOut(Out):
    """A subscription; the app confirms its first payment with `clientSecret`, which is null if nothing is due.

    A client without Stripe's library sends its user to `authenticationUrl`, which is there if the bank asks.
    """

    subscription = fields.Nested(SubscriptionOut)
    client_secret = String(allow_none=True)
    authentication_url = String(allow_none=True)


class ContinuedOut(SubscribedOut):
    """A resumed subscription, with a sentence for the user."""

    message = String()


class CancelledSubscriptionOut(ContinuedOut):
    """A cancelled subscription, which ends with its paid period."""

    ends_at = Time(allow_none=True)


class PendingOut(Out):
    """A call that needs Stripe and has no result yet."""

    id = Id()
    status = String()


NO_SUBSCRIPTION: dict[str, Any] = {
    "status": "active",
    "price_id": None,
    "current_period_start": None,
    "current_period_end": None,
    "cancel_at_period_end": False,
    "past_due_since": None,
}


def subscription_state(user: User, subscription: Subscription | None) -> dict[str, Any]:
    """The values of `CurrentOut` except `usage`; the tier is the user's current one, which may not be the paid one."""
    tier = PLANS[user.subscription_tier]
    found = NO_SUBSCRIPTION
    if subscription is not None:
        found = {name: getattr(subscription, name) for name in NO_SUBSCRIPTION}
    plan = {"tier": tier.tier, "limits": tier.limits, "history_days": tier.history_days}
    return {**found, **plan, "features": features(tier.tier, tier.limits)}


def features(tier: Tier, limits: Limits) -> list[str]:
    """The limits of a tier as a list of texts."""
    texts = {name: "Unlimited" if number == UNLIMITED else f"{number:,}" for name, number in asdict(limits).items()}
    return [
        f"{texts['max_workflows']} workflows",
        f"{texts['max_nodes']} nodes per workflow",
        f"{texts['api_calls_per_month']} AI and API calls per month",
        f"{texts['storage_mb']} MB storage",
        f"{texts['max_pending_runs']} runs queued or waiting at a time",
        f"{texts['max_schedules']} schedules, each at most every {_interval(limits.min_schedule_seconds)}",
        f"Runs kept for {PLANS[tier].history_days} days",
        f"{PLANS[tier].priority.title()} queue priority",
    ]


def _interval(seconds: int) -> str:
    minutes = seconds // 60
    return "minute" if minutes == 1 else f"{minutes} minutes"


def plans(tiers: Mapping[str, str]) -> list[dict[str, Any]]:
    """The values of `PlanOut`, the cheapest first; `tiers` names the tier of each price at Stripe."""
    prices = {tier: price for price, tier in tiers.items()}
    return [
        {
            "tier": plan.tier,
            "price_id": prices.get(plan.tier),
            "price_cents": plan.price_cents,
            "limits": plan.limits,
            "history_days": plan.history_days,
            "features": features(plan.tier, plan.limits),
        }
        for plan in PLANS.values()
    ]


class PlanPreviewIn(In):
    """The plan whose price is asked for, by the id of its price at Stripe."""

    price_id = fields.String(required=True, validate=validate.Length(min=1, max=255))


class PreviewLineOut(Out):
    """A line of the invoice; `amount` in dollars, negative for a credit."""

    description = String(allow_none=True)
    amount = Number()


class PlanPreviewOut(Out):
    """What a change of the plan would cost: `amount` in dollars, now or at `chargedAt`, with its lines."""

    price_id = String()
    charged_now = Boolean()
    charged_at = Time(allow_none=True)
    amount = Number()
    amount_cents = Integer()
    currency = String()
    lines = fields.List(fields.Nested(PreviewLineOut))
