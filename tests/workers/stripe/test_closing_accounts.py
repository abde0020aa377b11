"""A deleted user pays for nothing any more, and an operator is alerted when Stripe refuses to end it."""

import pytest

from models.db import session_scope
from models.services.operations import alerts
from models.services.stripe import stripe_requests
from models.tables import PurchaseStatus, RequestKind, RequestStatus, StripeRequest, User
from tests.support.stripe.shop import CARD, Shop


def close(shop: Shop, user: User) -> StripeRequest:
    with session_scope() as session:
        return stripe_requests.add(session, user, RequestKind.ACCOUNT_CLOSE, {})


def told(shop: Shop) -> list[tuple[str, str]]:
    with session_scope() as session:
        return [(alert.kind, alert.subject) for alert in alerts.list_open(session)]


def test_purchases_that_are_open_are_canceled(shop: Shop):
    user = shop.user()
    paid, waiting = shop.buys(user, card=CARD), shop.buys(user)
    declined = shop.buys(user, card="pm_card_chargeDeclined")
    assert shop.perform(close(shop, user)).status is RequestStatus.DONE
    assert sorted(one["status"] for one in shop.intents()) == ["canceled", "canceled", "succeeded"]
    assert {shop.fresh(one).status for one in (waiting, declined)} == {PurchaseStatus.CANCELED}
    assert shop.fresh(paid).status is PurchaseStatus.SUCCEEDED


def test_one_that_is_paid_in_that_moment_stands(shop: Shop, monkeypatch):
    user = shop.user()
    purchase = shop.buys(user)
    gateway = shop.stripe_sync.gateway
    cancel = type(gateway).cancel_payment

    def pay_first(self, intent_id: str, *, key: str):
        shop.stripe.pay_intent(intent_id)
        return cancel(self, intent_id, key=key)

    request = close(shop, user)
    pay_first.__name__ = "cancel_payment"
    monkeypatch.setattr(gateway, "cancel_payment", pay_first.__get__(gateway), raising=True)
    assert shop.perform(request).status is RequestStatus.DONE
    assert shop.fresh(purchase).status is PurchaseStatus.SUCCEEDED
    assert shop.credits(user) == 100


@pytest.mark.parametrize("times", [1, 3])
def test_a_key_without_the_permission_raises_one_alert_and_is_retried(shop: Shop, times):
    user = shop.user()
    shop.perform(shop.wants_plan(user, card=CARD))
    customer, request = shop.fresh(user).stripe_customer_id, close(shop, user)
    shop.stripe.fail_next("DELETE", "/v1/subscriptions/*", "403", times=times)
    for _ in range(times):
        assert shop.perform(request).status is RequestStatus.PENDING
        shop.later(request)
    assert told(shop) == [("account_not_closed", customer)]
    assert shop.perform(request).status is RequestStatus.DONE
    assert [one["status"] for one in shop.stripe.objects("subscription")] == ["canceled"]


def test_a_final_refusal_raises_an_alert(shop: Shop, monkeypatch):
    user = shop.user()
    shop.perform(shop.wants_plan(user, card=CARD))
    customer, request = shop.fresh(user).stripe_customer_id, close(shop, user)
    listed = shop.stripe_sync.gateway.subscriptions

    def one_that_is_gone(**how):
        yield from [one | {"id": "sub_gone"} for one in listed(**how)]

    monkeypatch.setattr(shop.stripe_sync.gateway, "subscriptions", one_that_is_gone)
    assert shop.perform(request).status is RequestStatus.FAILED
    assert told(shop) == [("account_not_closed", customer)]


def test_an_account_whose_customer_is_gone_closes_without_a_new_one(shop: Shop):
    user = shop.user()
    shop.buys(user)
    request = close(shop, user)
    shop.stripe.delete_customer(shop.fresh(user).stripe_customer_id)
    shop.handle_all("customer.deleted")
    assert shop.perform(request).status is RequestStatus.DONE
    assert len(shop.stripe.objects("customer")) == 1
