"""Repetition of calls that create or change something at Stripe.

Stripe stores the first response to an idempotency key for at least a day, its own failures (500) included, and returns
it for every repeat. So after a definite failure the call's effect is looked up first, and only if there is none the
call is made under a new key. A lost response, a key in use (409) and rate limiting (429) are not definite failures:
there the call is repeated with the same key.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

from models.rules.stripe.billing import PURCHASE, REQUEST, ref
from workers.gateways.stripe.gateway import StripeGateway, is_ending
from workers.stripe.operation_result import StripeObject

P = ParamSpec("P")
Found = StripeObject | None


@dataclass(frozen=True)
class Repeat:
    """How to find the effect of an earlier try from the call's arguments, and why a new key is safe then."""

    find_existing: Callable[..., Found]
    safe_because: str


def once(
    call: Callable[Concatenate[StripeGateway, P], StripeObject], gateway: StripeGateway, *args: P.args, **how: P.kwargs
) -> StripeObject:
    """Return the effect of an earlier try of `call` if there is one, else make the call."""
    known = {name: value for name, value in how.items() if name != "key"}
    found = REPEATS[call].find_existing(gateway, *args, **known)
    return found if found is not None else getattr(gateway, call.__name__)(*args, **how)


def _customer(gateway: StripeGateway, user_id: UUID, *, email: str | None, **_: Any) -> Found:
    return gateway.find_customer(user_id, email) if email else None  # without an address the caller searched by time


def _payment(gateway: StripeGateway, *, customer: str, metadata: Mapping[str, str], **_: Any) -> Found:
    made = _ours(gateway.payments(customer=customer), PURCHASE, metadata[PURCHASE])
    return next((one for one in made if one["status"] == "succeeded"), made[0] if made else None)


def _canceled_payment(gateway: StripeGateway, intent_id: str) -> Found:
    return _if(gateway.payment(intent_id), lambda intent: intent["status"] == "canceled")


def _subscription(gateway: StripeGateway, *, customer: str, metadata: Mapping[str, str], **_: Any) -> Found:
    made = _ours(gateway.subscriptions(customer=customer), REQUEST, metadata[REQUEST])
    return gateway.subscription(made[0]["id"]) if made else None


def _price(gateway: StripeGateway, subscription: StripeObject, *, item: str, price: str, **_: Any) -> Found:
    found = gateway.subscription(subscription["id"])
    has_price = any(one["id"] == item and ref(one["price"]) == price for one in found["items"]["data"])
    return found if has_price else None


def _end(gateway: StripeGateway, subscription: StripeObject, *, cancel: bool) -> Found:
    return _if(gateway.subscription(subscription["id"]), lambda found: is_ending(found) == cancel)


def _paid_with(gateway: StripeGateway, subscription_id: str, payment_method: str) -> Found:
    is_so = lambda found: ref(found["default_payment_method"]) == payment_method  # noqa: E731  # one line of a table
    return _if(gateway.subscription(subscription_id), is_so)


def _unpaused(gateway: StripeGateway, subscription_id: str) -> Found:
    return _if(gateway.subscription(subscription_id), lambda found: found["status"] != "paused")


def _paid_invoice(gateway: StripeGateway, invoice_id: str, **_: Any) -> Found:
    return _if(gateway.invoice(invoice_id), lambda invoice: invoice["status"] == "paid")


def _attached(gateway: StripeGateway, payment_method: str, *, customer: str) -> Found:
    return _if(gateway.payment_method(payment_method), lambda found: ref(found.get("customer")) == customer)


def _detached(gateway: StripeGateway, payment_method: str) -> Found:
    return _if(gateway.payment_method(payment_method), lambda found: found["customer"] is None)


def _default(gateway: StripeGateway, payment_method: str, *, customer: str) -> Found:
    found = gateway.customer(customer)
    settings = found.get("invoice_settings") or {}
    return found if ref(settings.get("default_payment_method")) == payment_method else None


_NOT_TWICE = "the call sets a state, and setting it again changes nothing"

REPEATS: Mapping[Callable[..., StripeObject], Repeat] = {
    StripeGateway.create_customer: Repeat(_customer, "the address's customers are listed, and carry our user's id"),
    StripeGateway.create_payment: Repeat(_payment, "the customer's payments are listed, and carry our purchase's id"),
    StripeGateway.cancel_payment: Repeat(_canceled_payment, "a canceled payment cannot be canceled again"),
    StripeGateway.create_subscription: Repeat(
        _subscription, "the customer's subscriptions are listed, and carry our request's id"
    ),
    StripeGateway.change_price: Repeat(_price, "an item that has the price is not charged for it again"),
    StripeGateway.cancel_at_period_end: Repeat(_end, _NOT_TWICE),
    StripeGateway.pay_subscription_with: Repeat(_paid_with, _NOT_TWICE),
    StripeGateway.unpause_subscription: Repeat(_unpaused, "an active subscription cannot be resumed again"),
    StripeGateway.pay_invoice: Repeat(_paid_invoice, "a paid invoice cannot be paid again"),
    StripeGateway.attach: Repeat(_attached, _NOT_TWICE),
    StripeGateway.detach: Repeat(_detached, _NOT_TWICE),
    StripeGateway.set_default: Repeat(_default, _NOT_TWICE),
}


def _if(found: StripeObject, is_so: Callable[[StripeObject], bool]) -> Found:
    return found if is_so(found) else None


def _ours(found: Iterable[StripeObject], name: str, our_id: str) -> list[StripeObject]:
    return [one for one in found if (one.get("metadata") or {}).get(name) == our_id]
