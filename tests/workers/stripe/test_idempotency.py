"""Stripe stores its failures under our keys. Whatever we ask for is looked up then, and asked for under a new key."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from models.db import session_scope
from models.services.stripe import payment_methods, stripe_requests, subscriptions
from models.tables import RequestKind, RequestStatus, StripeRequest, User
from tests.support.stripe.shop import CARD, Shop, at_once
from workers.gateways.stripe.gateway import StripeGateway
from workers.stripe.idempotency import REPEATS

PREMIUM, ENTERPRISE = "price_premium_monthly", "price_enterprise_monthly"
FAILS = "pm_card_chargeCustomerFail"


@dataclass
class Story:
    """A request that makes one call of Stripe's, and what is to be there once however it failed."""

    path: str
    begin: Callable[[Shop], StripeRequest]
    effects: Callable[[Shop], int]


def stripe_request(start, shop: Shop, user: User, **how) -> StripeRequest:
    with session_scope() as session:
        return start(session, user, **how)


def subscriber(shop: Shop) -> User:
    user = shop.user()
    shop.perform(shop.wants_plan(user, card=CARD))
    return user


def the(shop: Shop, kind: str) -> dict:
    return shop.stripe.objects(kind)[-1]


def customer_of(shop: Shop, user: User) -> str:
    return shop.fresh(user).stripe_customer_id


def kept(shop: Shop, card: str = CARD) -> tuple[User, str]:
    user = shop.user()
    return user, shop.perform(shop.wants_method(user, card)).result["id"]


def two_cards(shop: Shop) -> StripeRequest:
    user, _ = kept(shop)
    second = shop.perform(shop.wants_method(user, "pm_card_mastercard")).result["id"]
    return stripe_request(payment_methods.start_default, shop, user, method_id=second)


def default_is_mastercard(shop: Shop) -> int:
    default = the(shop, "customer")["invoice_settings"]["default_payment_method"]
    return int(shop.stripe.get(default)["card"]["brand"] == "mastercard")


def paused(shop: Shop) -> StripeRequest:
    user = subscriber(shop)
    shop.stripe.pause_subscription(the(shop, "subscription")["id"])
    shop.handle_all()
    return stripe_request(subscriptions.start_resume, shop, user)


def behind(shop: Shop) -> StripeRequest:
    user = subscriber(shop)
    bad = shop.stripe_sync.gateway.attach(FAILS, customer=customer_of(shop, user), key="bad")["id"]
    shop.stripe.change(the(shop, "subscription")["id"], default_payment_method=bad)
    shop.stripe.advance_clock(days=32)
    shop.handle_all()
    return shop.wants_plan(user, card=CARD)


def ending_with_a_new_card(shop: Shop) -> StripeRequest:
    user = subscriber(shop)
    shop.perform(stripe_request(subscriptions.start_cancel, shop, user))
    return shop.wants_plan(user, card="pm_card_mastercard")


def paid_with_mastercard(shop: Shop) -> int:
    return int(shop.stripe.get(the(shop, "subscription")["default_payment_method"])["card"]["brand"] == "mastercard")


def leaves_a_purchase_open(shop: Shop) -> StripeRequest:
    user = shop.user()
    shop.buys(user)
    return stripe_request(stripe_requests.add, shop, user, kind=RequestKind.ACCOUNT_CLOSE, params={})


def remove_card(shop: Shop) -> StripeRequest:
    user, method = kept(shop)
    return stripe_request(payment_methods.start_remove, shop, user, method_id=method)


SUBSCRIPTION = "/v1/subscriptions/*"
STORIES: dict[Callable, Story] = {
    StripeGateway.create_customer: Story(
        "/v1/customers",
        lambda shop: shop.wants(shop.user(), card=CARD),
        lambda shop: len(shop.stripe.objects("customer")),
    ),
    StripeGateway.create_payment: Story(
        "/v1/payment_intents",
        lambda shop: shop.wants(shop.user(), card=CARD),
        lambda shop: [one["status"] for one in shop.intents()].count("succeeded") * len(shop.intents()),
    ),
    StripeGateway.create_subscription: Story(
        "/v1/subscriptions",
        lambda shop: shop.wants_plan(shop.user(), card=CARD),
        lambda shop: len(shop.stripe.objects("subscription")) * len(shop.stripe.objects("charge")),
    ),
    StripeGateway.change_price: Story(
        SUBSCRIPTION,
        lambda shop: shop.wants_plan(subscriber(shop), ENTERPRISE),
        lambda shop: len(shop.stripe.objects("charge")) - 1,
    ),
    StripeGateway.cancel_at_period_end: Story(
        SUBSCRIPTION,
        lambda shop: stripe_request(subscriptions.start_cancel, shop, subscriber(shop)),
        lambda shop: int(the(shop, "subscription")["cancel_at_period_end"]),
    ),
    StripeGateway.pay_subscription_with: Story(SUBSCRIPTION, ending_with_a_new_card, paid_with_mastercard),
    StripeGateway.cancel_payment: Story(
        "/v1/payment_intents/*/cancel",
        leaves_a_purchase_open,
        lambda shop: len(shop.events("payment_intent.canceled")),
    ),
    StripeGateway.unpause_subscription: Story(
        "/v1/subscriptions/*/resume", paused, lambda shop: int(the(shop, "subscription")["status"] == "active")
    ),
    StripeGateway.pay_invoice: Story(
        "/v1/invoices/*/pay",
        behind,
        lambda shop: [one["status"] for one in shop.stripe.objects("charge")].count("succeeded") - 1,
    ),
    StripeGateway.attach: Story(
        "/v1/payment_methods/*/attach",
        lambda shop: shop.wants_method(shop.user(), shop.stripe_sync.gateway.payment_method(CARD)["id"]),
        lambda shop: sum(one["customer"] is not None for one in shop.stripe.objects("payment_method")),
    ),
    StripeGateway.detach: Story(
        "/v1/payment_methods/*/detach", remove_card, lambda shop: int(the(shop, "payment_method")["customer"] is None)
    ),
    StripeGateway.set_default: Story("/v1/customers/*", two_cards, default_is_mastercard),
}


def test_every_call_that_goes_under_a_key_says_how_it_is_repeated() -> None:
    keyed = {
        method
        for _, method in inspect.getmembers(StripeGateway, inspect.isfunction)
        if "key" in inspect.signature(method).parameters
    }
    assert keyed == set(REPEATS)
    assert set(STORIES) == keyed
    assert all(repeat.safe_because for repeat in REPEATS.values())


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", STORIES, ids=lambda call: call.__name__)
def test_a_stored_500_is_got_over_at_once_and_nothing_happens_twice(shop: Shop, call, when):
    story = STORIES[call]
    request = story.begin(shop)
    shop.stripe.fail_next("POST", story.path, "500", when=when)
    assert shop.perform(request).status is RequestStatus.DONE
    assert story.effects(shop) == 1


class TestCustomers:
    def test_many_workers_who_meet_the_stored_failure_make_one(self, shop: Shop):
        user = shop.user()
        shop.stripe.fail_next("POST", "/v1/customers", "500", when="before")
        requested = [shop.wants(user, card=CARD) for _ in range(6)]
        at_once([lambda one=one: shop.perform(one) for one in requested])
        for one in requested:
            shop.later(one)
            shop.perform(one)
        assert {shop.fresh(one).status for one in requested} == {RequestStatus.DONE}
        assert len(shop.stripe.objects("customer")) == 1
        assert shop.credits(user) == 600

    def test_a_failure_stored_before_a_rename_does_not_lock_the_user_out(self, shop: Shop):
        user = shop.user()
        shop.stripe.fail_next("POST", "/v1/customers", "500", times=3)
        request = shop.perform(shop.wants(user))
        assert request.status is RequestStatus.PENDING
        shop.scalar("UPDATE users SET name = 'Another' RETURNING 1")
        shop.later(request)
        assert shop.perform(request).status is RequestStatus.DONE
        assert len(shop.stripe.objects("customer")) == 1

    def test_a_key_that_stood_for_a_customer_who_is_gone_gives_way(self, shop: Shop):
        user = shop.user()
        gateway = shop.stripe_sync.gateway
        gone = gateway.create_customer(user.id, email="old@example.com", name="Old", key=f"customer-{user.id}")
        shop.stripe.delete_customer(gone["id"])
        request = shop.perform(shop.wants(user, card=CARD))
        assert request.status is RequestStatus.DONE
        assert shop.credits(user) == 100


def test_a_decline_that_came_as_a_500_is_a_decline(shop: Shop):
    user = shop.user()
    request = shop.wants(user, card="pm_card_chargeDeclined")
    shop.stripe.fail_next("POST", "/v1/payment_intents", "500", when="after")
    done = shop.perform(request)
    assert (done.status, done.error["code"], done.error["declined"]) == (RequestStatus.FAILED, "card_declined", True)
    assert [one["status"] for one in shop.intents()] == ["requires_payment_method"]


@pytest.mark.usefixtures("shop")
def test_a_closed_account_is_closed_though_detaching_failed(shop: Shop):
    user = subscriber(shop)
    with session_scope() as session:
        request = stripe_requests.add(session, user, RequestKind.ACCOUNT_CLOSE, {})
    shop.stripe.fail_next("POST", "/v1/payment_methods/*/detach", "500", when="before")
    assert shop.perform(request).status is RequestStatus.DONE
    assert [one["status"] for one in shop.stripe.objects("subscription")] == ["canceled"]
    assert all(one["customer"] is None for one in shop.stripe.objects("payment_method"))
