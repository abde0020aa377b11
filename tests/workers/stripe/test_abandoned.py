"""A purchase that stays unpaid for a day is canceled; one that is paid at that moment stands."""

import pytest

from models.db import session_scope
from models.services.operations import alerts
from models.tables import Purchase, PurchaseStatus, RequestKind, RequestStatus, StripeRequest, User
from tasks import billing
from tasks.queue import TaskName, set_publisher
from tests.support.stripe.shop import CARD, Shop


@pytest.fixture
def enqueued(shop: Shop):
    messages: list = []
    before = set_publisher(messages.append)
    yield messages
    set_publisher(before)


def a_day_passes(shop: Shop, hours: int = 25) -> None:
    for table in ("purchases", "stripe_requests"):
        past = [f"{name} = {name} - interval '{hours} hours'" for name in ("created_at", "updated_at")]
        shop.scalar(f"UPDATE {table} SET {', '.join(past)} RETURNING 1")


def sweep(shop: Shop, enqueued: list) -> list[StripeRequest]:
    """The requests to cancel that a sweep makes, performed."""
    enqueued.clear()
    billing.sweep()
    ids = [message.ids["request_id"] for message in enqueued if message.task is TaskName.STRIPE_REQUEST]
    made = [shop.see(StripeRequest, request_id) for request_id in ids]
    return [shop.perform(one) for one in made if one.kind is RequestKind.PURCHASE_CANCEL]


def test_after_a_day_it_is_canceled_once(shop: Shop, enqueued: list):
    user = shop.user()
    purchase = shop.buys(user)
    a_day_passes(shop, 23)
    assert sweep(shop, enqueued) == []
    a_day_passes(shop, 2)
    [request] = sweep(shop, enqueued)
    assert request.status is RequestStatus.DONE
    assert [one["status"] for one in shop.intents()] == ["canceled"]
    assert (shop.fresh(purchase).status, shop.fresh(purchase).client_secret) == (PurchaseStatus.CANCELED, None)
    assert sweep(shop, enqueued) == []


@pytest.mark.parametrize("card", ["pm_card_chargeDeclined", "pm_card_authenticationRequired"])
def test_one_that_was_declined_or_waits_for_the_bank_is_canceled_too(shop: Shop, enqueued: list, card: str):
    request = shop.perform(shop.wants(shop.user(), card=card))
    a_day_passes(shop)
    assert len(sweep(shop, enqueued)) == 1
    assert shop.purchase(request).status is PurchaseStatus.CANCELED


def test_what_is_paid_or_under_way_is_left_alone(shop: Shop, enqueued: list):
    user = shop.user()
    shop.buys(user, card=CARD)
    shop.stripe.keep_processing()
    shop.buys(user, card=CARD)
    shop.stripe.keep_processing(False)
    shop.wants(user)
    a_day_passes(shop)
    assert sweep(shop, enqueued) == []


def test_one_that_failed_after_days_can_be_paid_for_another_day(shop: Shop, enqueued: list):
    purchase = under_way(shop, shop.user())
    a_day_passes(shop, 100)
    fails(shop, purchase)
    row = shop.fresh(purchase)
    assert (row.status, row.failure["code"]) == (PurchaseStatus.FAILED, "card_declined")
    assert row.client_secret is not None
    assert sweep(shop, enqueued) == []
    a_day_passes(shop)
    assert len(sweep(shop, enqueued)) == 1
    assert [one["status"] for one in shop.intents()] == ["canceled"]
    assert shop.fresh(purchase).status is PurchaseStatus.CANCELED


def test_until_then_its_user_pays_it_with_another_card(shop: Shop, enqueued: list):
    purchase = under_way(shop, user := shop.user())
    a_day_passes(shop, 100)
    fails(shop, purchase)
    shop.stripe.pay_intent(shop.fresh(purchase).client_secret)
    shop.handle_all()
    assert (shop.fresh(purchase).status, shop.credits(user)) == (PurchaseStatus.SUCCEEDED, 100)
    a_day_passes(shop)
    assert sweep(shop, enqueued) == []


def test_one_in_progress_is_canceled_a_day_after_it_failed(shop: Shop, enqueued: list):
    purchase = shop.buys(shop.user())
    shop.stripe.keep_processing()
    shop.stripe.pay_intent(purchase.payment_intent_id)
    a_day_passes(shop)
    assert len(sweep(shop, enqueued)) == 1
    assert shop.fresh(purchase).status is PurchaseStatus.PROCESSING
    a_day_passes(shop)
    assert sweep(shop, enqueued) == []
    fails(shop, purchase)
    assert sweep(shop, enqueued) == []
    a_day_passes(shop)
    [request] = sweep(shop, enqueued)
    assert request.status is RequestStatus.DONE
    assert shop.fresh(purchase).status is PurchaseStatus.CANCELED
    a_day_passes(shop)
    assert sweep(shop, enqueued) == []


def under_way(shop: Shop, user: User) -> Purchase:
    """A purchase of which Stripe does not know yet whether it is paid, as by bank debit."""
    shop.stripe.keep_processing()
    purchase = shop.buys(user, card=CARD)
    assert purchase.status is PurchaseStatus.PROCESSING
    return purchase


def fails(shop: Shop, purchase: Purchase) -> None:
    shop.stripe.keep_processing(False)
    shop.stripe.settle_processing(purchase.payment_intent_id, succeeds=False)
    shop.handle_all()


def test_one_that_is_paid_in_that_moment_stands_and_is_granted(shop: Shop, enqueued: list, monkeypatch):
    user = shop.user()
    purchase = shop.buys(user)
    gateway = shop.stripe_sync.gateway
    cancel = gateway.cancel_payment

    def pay_first(intent_id: str, *, key: str):
        shop.stripe.pay_intent(intent_id)
        return cancel(intent_id, key=key)

    monkeypatch.setattr(gateway, "cancel_payment", pay_first)
    a_day_passes(shop)
    [request] = sweep(shop, enqueued)
    assert request.status is RequestStatus.DONE
    assert (shop.fresh(purchase).status, shop.credits(user)) == (PurchaseStatus.SUCCEEDED, 100)
    shop.handle_all()
    assert shop.credits(user) == 100


@pytest.mark.parametrize("made", [True, False])
def test_a_payment_that_we_do_not_know_is_looked_up(shop: Shop, enqueued: list, made: bool):
    user = shop.user()
    request = shop.wants(user)
    if made:
        shop.perform(request)
    shop.scalar("UPDATE purchases SET payment_intent_id = NULL, client_secret = NULL RETURNING 1")
    shop.scalar(
        "UPDATE stripe_requests SET status = 'failed', error = '{}', result = NULL, finished_at = now() RETURNING 1"
    )
    a_day_passes(shop)
    assert len(sweep(shop, enqueued)) == 1
    assert shop.purchase(request).status is PurchaseStatus.CANCELED
    assert [one["status"] for one in shop.intents()] == (["canceled"] if made else [])


def test_a_refusal_raises_an_alert_and_is_retried(shop: Shop, enqueued: list):
    purchase = shop.buys(shop.user())
    shop.stripe.fail_next("POST", "/v1/payment_intents/*/cancel", "403")
    a_day_passes(shop)
    [request] = sweep(shop, enqueued)
    assert request.status is RequestStatus.PENDING
    with session_scope() as session:
        assert [alert.kind for alert in alerts.list_open(session)] == ["purchase_not_canceled"]
    shop.later(request)
    assert shop.perform(request).status is RequestStatus.DONE
    assert shop.fresh(purchase).status is PurchaseStatus.CANCELED


def test_one_unknown_to_stripe_is_reported_once_and_retried_daily(shop: Shop, enqueued: list):
    shop.buys(shop.user())
    shop.scalar("UPDATE purchases SET payment_intent_id = 'pi_nowhere' RETURNING 1")
    for _ in range(2):
        a_day_passes(shop)
        [request] = sweep(shop, enqueued)
        assert (request.status, request.error["code"]) == (RequestStatus.FAILED, "resource_missing")
        with session_scope() as session:
            assert [alert.kind for alert in alerts.list_open(session)] == ["purchase_not_canceled"]
        assert sweep(shop, enqueued) == []
