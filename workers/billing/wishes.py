"""What each kind of request asks of Stripe.

Every one may be asked again: what makes something goes under the row's key, what changes something is asked for only
where it is not so already. Nothing here touches our rows; what came of it is followed afterwards, as webhooks are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from models.rules.billing import PURCHASE, REQUEST, Subject, ref
from models.stripe_request import RequestKind, StripeRequest
from workers.gateways.stripe import StripeGateway

Plain = dict[str, Any]
EARLIER = timedelta(minutes=5)  # how far our clock and Stripe's may be apart


@dataclass(frozen=True)
class Made:
    """What was asked for, as Stripe answered, and what to follow, in this order, before the answer is written."""

    found: Plain
    follow: tuple[tuple[Subject, str], ...] = ()


Wish = Callable[[StripeGateway, StripeRequest, str], Made]


def look_up(gateway: StripeGateway, wish: StripeRequest, customer: str) -> Made | None:
    """What an earlier try made, found by our ids in its metadata, for when its key cannot be trusted to tell."""
    since = int((wish.created_at - EARLIER).timestamp())
    match wish.kind:
        case RequestKind.PURCHASE:
            intents = _ours(gateway.payments(customer=customer, created=since), PURCHASE, wish.subject_id)
            found = next((one for one in intents if one["status"] == "succeeded"), intents[0] if intents else None)
            return Made(found) if found else None
        case RequestKind.SUBSCRIPTION_CREATE:
            subscriptions = _ours(gateway.subscriptions(customer=customer, created=since), REQUEST, wish.id)
            if not subscriptions:
                return None
            found = gateway.subscription(subscriptions[0]["id"])
            return Made(found, ((Subject.SUBSCRIPTION, found["id"]),))
    return None  # the others look for themselves whether it is so already


def purchase(gateway: StripeGateway, wish: StripeRequest, customer: str) -> Made:
    """A payment intent, confirmed if there is something to pay with."""
    return Made(gateway.create_payment(customer=customer, key=wish.key, **wish.params))


def subscribe(gateway: StripeGateway, wish: StripeRequest, customer: str) -> Made:
    """A subscription in place of unfinished ones."""
    params: Mapping[str, Any] = wish.params
    follow = []
    for unfinished in params.get("replaces", ()):
        if gateway.subscription(unfinished)["status"] == "incomplete":
            gateway.cancel_subscription(unfinished)
            follow.append((Subject.SUBSCRIPTION, unfinished))
    method = params.get("payment_method")
    if method:
        method = _keep(gateway, wish, customer, method)
        follow += [(Subject.PAYMENT_METHOD, method), (Subject.CUSTOMER, customer)]
    found = gateway.create_subscription(
        customer=customer, price=params["price"], payment_method=method, metadata=params["metadata"], key=wish.key
    )
    return Made(found, (*follow, (Subject.SUBSCRIPTION, found["id"])))


def change_plan(gateway: StripeGateway, wish: StripeRequest, customer: str) -> Made:
    """The subscription at another price."""
    found = gateway.subscription(wish.params["subscription"])
    price = wish.params["price"]
    if ref(found["items"]["data"][0]["price"]) != price:
        found = gateway.change_price(found, price=price, charge_now=wish.params["upgrade"], key=wish.key)
    return Made(found, ((Subject.SUBSCRIPTION, found["id"]),))


def cancel_or_go_on(gateway: StripeGateway, wish: StripeRequest, customer: str) -> Made:
    """The subscription ending with its period, or not ending, or no longer paused."""
    found = gateway.subscription(wish.params["subscription"])
    if wish.params.get("paused") and found["status"] == "paused":
        found = gateway.unpause_subscription(found["id"], key=f"{wish.key}-unpause")
    cancel = wish.params["cancel"]
    if bool(found["cancel_at_period_end"] or found["cancel_at"]) != cancel:
        found = gateway.cancel_at_period_end(found, cancel=cancel, key=wish.key)
    return Made(found, ((Subject.SUBSCRIPTION, found["id"]),))


def add_method(gateway: StripeGateway, wish: StripeRequest, customer: str) -> Made:
    """A payment method kept; the first one is what invoices are paid with."""
    method = _keep(gateway, wish, customer, wish.params["payment_method"])
    return _method(method, customer)


def default_method(gateway: StripeGateway, wish: StripeRequest, customer: str) -> Made:
    """What invoices are paid with from now on."""
    method = wish.params["payment_method"]
    gateway.set_default(method, customer=customer, key=wish.key)
    return _method(method, customer)


def remove_method(gateway: StripeGateway, wish: StripeRequest, customer: str) -> Made:
    """A payment method forgotten."""
    found = gateway.payment_method(wish.params["payment_method"])
    if found["customer"] is not None:
        gateway.detach(found["id"], key=wish.key)
    return _method(found["id"], customer)


WISHES: Mapping[RequestKind, Wish] = {
    RequestKind.PURCHASE: purchase,
    RequestKind.SUBSCRIPTION_CREATE: subscribe,
    RequestKind.SUBSCRIPTION_UPDATE: change_plan,
    RequestKind.SUBSCRIPTION_CANCEL: cancel_or_go_on,
    RequestKind.SUBSCRIPTION_RESUME: cancel_or_go_on,
    RequestKind.PAYMENT_METHOD_ADD: add_method,
    RequestKind.PAYMENT_METHOD_DEFAULT: default_method,
    RequestKind.PAYMENT_METHOD_REMOVE: remove_method,
}


def _keep(gateway: StripeGateway, wish: StripeRequest, customer: str, method: str) -> str:
    """Attach a payment method and make it the default if there is none; its id, which may be another one."""
    found = gateway.payment_method(method)
    if ref(found.get("customer")) != customer:
        method = gateway.attach(method, customer=customer, key=f"{wish.key}-attach")["id"]
    if not (gateway.customer(customer).get("invoice_settings") or {}).get("default_payment_method"):
        gateway.set_default(method, customer=customer, key=f"{wish.key}-default")
    return method


def _method(method: str, customer: str) -> Made:
    """The customer says which one is the default, so it is followed when the method is here."""
    return Made({"id": method}, ((Subject.PAYMENT_METHOD, method), (Subject.CUSTOMER, customer)))


def _ours(found: Iterator[Plain], name: str, our_id: Any) -> list[Plain]:
    return [one for one in found if (one.get("metadata") or {}).get(name) == str(our_id)]
