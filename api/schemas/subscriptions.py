"""Subscriptions: what may be asked for, and what a user has and may do with it."""

from dataclasses import asdict
from typing import Any

from marshmallow import fields, validate

from api.schemas.base import Count, Id, In, Out, Text, Time, Truth, Word
from api.schemas.payment_methods import MethodId
from api.schemas.usage import AllowancesOut
from models.rules.pricing import PLANS, UNLIMITED, Limits, Tier
from models.subscription import Subscription
from models.user import User


class PriceIn(In):
    """The plan to change to, by its price at Stripe."""

    price_id = fields.String(required=True, validate=validate.Length(min=1, max=255))


class SubscribeIn(PriceIn):
    """The plan to begin with; without a payment method the app confirms the first payment."""

    payment_method_id = MethodId(load_default=None, allow_none=True)


class LimitsOut(Out):
    """What a tier allows; -1 is unlimited."""

    max_workflows = Count()
    max_nodes = Count()
    api_calls_per_month = Count()
    storage_mb = Count(data_key="storageMB")


class CurrentOut(Out):
    """The tier that counts now, and the subscription behind it; a free account is always active."""

    tier = Word(Tier)
    status = Text()
    price_id = Text(allow_none=True)
    current_period_start = Time(allow_none=True)
    current_period_end = Time(allow_none=True)
    cancel_at_period_end = Truth()
    past_due_since = Time(allow_none=True)
    limits = fields.Nested(LimitsOut)
    history_days = Count()
    features = fields.List(Text())
    usage = fields.Nested(AllowancesOut)


class SubscriptionOut(Out):
    """A subscription; `tier` is what it is for, whether or not it is paid yet."""

    tier = Word(Tier)
    status = Text()
    price_id = Text()
    current_period_start = Time(allow_none=True)
    current_period_end = Time(allow_none=True)
    cancel_at_period_end = Truth()


class SubscribedOut(Out):
    """A subscription, and what the app confirms its first payment with while there is something to confirm."""

    subscription = fields.Nested(SubscriptionOut)
    client_secret = Text(allow_none=True)


class ContinuedOut(SubscribedOut):
    """A subscription that goes on."""

    message = Text()


class EndingOut(ContinuedOut):
    """A subscription that ends with its period."""

    ends_at = Time(allow_none=True)


class PendingOut(Out):
    """A call that needs Stripe and has no outcome yet."""

    id = Id()
    status = Text()


NO_SUBSCRIPTION: dict[str, Any] = {
    "status": "active",
    "price_id": None,
    "current_period_start": None,
    "current_period_end": None,
    "cancel_at_period_end": False,
    "past_due_since": None,
}


def standing(user: User, subscription: Subscription | None) -> dict[str, Any]:
    """What `CurrentOut` shows of a user: the tier is what they may use now, whatever the subscription is for."""
    tier = PLANS[user.subscription_tier]
    found = NO_SUBSCRIPTION
    if subscription is not None:
        found = {name: getattr(subscription, name) for name in NO_SUBSCRIPTION}
    plan = {"tier": tier.tier, "limits": tier.limits, "history_days": tier.history_days}
    return {**found, **plan, "features": features(tier.tier, tier.limits)}


def features(tier: Tier, limits: Limits) -> list[str]:
    """The limits of a tier in words."""
    said = {name: "Unlimited" if number == UNLIMITED else f"{number:,}" for name, number in asdict(limits).items()}
    return [
        f"{said['max_workflows']} workflows",
        f"{said['max_nodes']} nodes per workflow",
        f"{said['api_calls_per_month']} AI and API calls per month",
        f"{said['storage_mb']} MB storage",
        f"Runs kept for {PLANS[tier].history_days} days",
        f"{PLANS[tier].priority.title()} queue priority",
    ]
