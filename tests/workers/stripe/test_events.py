"""Events of Stripe take effect once, in any order, whoever handles them."""

import itertools
import threading
from copy import deepcopy
from decimal import Decimal
from functools import partial

import pytest

from models.db import session_scope
from models.services.stripe import purchases, stripe_events
from models.tables import EventStatus, PurchaseStatus, StripeEvent
from tests.support.stripe.shop import CARD, TIERS, Shop, SlowReader, at_once
from tests.support.thorough import sample
from workers.stripe import events, requests
from workers.stripe.sync import StripeSync

HISTORY = ("payment_intent.created", "payment_intent.payment_failed", "payment_intent.succeeded", "refund.created")


def intent_of(event: dict) -> str:
    thing = event["data"]["object"]
    return thing["id"] if thing["object"] == "payment_intent" else thing["payment_intent"]


class TestOnce:
    def test_one_event_in_eight_hands_grants_once(self, shop: Shop):
        user, paid = shop.has_paid()
        shop.receive(paid)
        at_once([lambda: events.handle(shop.stripe_sync, paid["id"])] * 8)
        assert shop.credits(user) == 100
        assert shop.see(StripeEvent, paid["id"]).status is EventStatus.DONE

    def test_eight_events_about_one_payment_grant_once(self, shop: Shop):
        user, paid = shop.has_paid()
        copies = [paid | {"id": f"evt_copy_{number}"} for number in range(8)]
        at_once([lambda copy=copy: shop.handle(copy) for copy in copies])
        shop.event_later()
        assert {shop.handle(copy).status for copy in copies} == {EventStatus.DONE}
        assert shop.credits(user) == 100
        assert len(shop.keys(user)) == 1

    def test_a_request_and_its_event_grant_once(self, shop: Shop):
        for _ in range(5):
            user = shop.user()
            request = shop.wants(user, card=CARD)
            shop.stripe.fail_next("POST", "/v1/payment_intents", "reset", when="after")
            shop.perform(request)
            shop.later(request)
            paid = shop.events("payment_intent.succeeded")[-1]
            at_once([partial(shop.perform, request), partial(shop.handle, paid)])
            assert shop.credits(user) == 100

    def test_an_event_stored_twice_is_one(self, shop: Shop):
        shop.stripe.pay_intent(shop.buys(shop.user()).payment_intent_id)
        paid = shop.events("payment_intent.succeeded")
        shop.receive(*paid, *paid)
        assert shop.scalar("SELECT count(*) FROM stripe_events") == 1


class TestOrder:
    @pytest.mark.thorough
    def test_any_order_and_repetition_of_events_gives_the_same_result(self, shop: Shop):
        orders = sample(list(itertools.permutations(HISTORY)), 8)
        users = [shop.user() for _ in orders]
        bought = [shop.buys(user, "pack_500") for user in users]
        for purchase in bought:
            shop.stripe.pay_intent(purchase.payment_intent_id, "pm_card_chargeDeclined")
            shop.stripe.pay_intent(purchase.payment_intent_id)
            shop.stripe.refund(purchase.payment_intent_id, 3999 // 3)
        news = {(event["type"], intent_of(event)): event for event in shop.events(*HISTORY)}
        ends = set()
        for order, user, purchase in zip(orders, users, bought, strict=True):
            for position, name in enumerate([*order, order[0]]):
                event = news[name, purchase.payment_intent_id]
                shop.handle(event | {"id": f"{event['id']}_{position}"})
            ends.add((shop.fresh(purchase).status, shop.credits(user), len(shop.keys(user))))
        assert ends == {(PurchaseStatus.SUCCEEDED, Decimal("366.67"), 2)}

    def test_what_an_old_event_says_is_not_believed(self, shop: Shop):
        """Its payload is of another time, and of another version of the API."""
        user = shop.user()
        purchase = shop.buys(user)
        [created] = shop.events("payment_intent.created")
        shop.stripe.pay_intent(purchase.payment_intent_id)
        forged = deepcopy(created) | {"id": "evt_old", "api_version": "2019-12-03"}
        forged["data"]["object"] = {"id": purchase.payment_intent_id, "object": "payment_intent", "charges": []}
        assert shop.handle(forged).status is EventStatus.DONE
        assert shop.credits(user) == 100

    def test_of_two_workers_the_slower_one_does_not_write_what_it_read_earlier(self, shop: Shop):
        """The lock comes before the reading: the second one reads only when the first has written."""
        user = shop.user()
        shop.stripe.pay_intent(shop.perform(shop.wants_plan(user)).result["clientSecret"])
        subscription = shop.stripe.objects("subscription")[0]["id"]
        [created] = shop.events("customer.subscription.created")
        shop.handle(created)
        shop.stripe_sync.gateway.cancel_at_period_end(
            shop.stripe_sync.gateway.subscription(subscription), cancel=True, key="first"
        )
        slow = SlowReader(shop.stripe.secret_key, shop.stripe.url, retries=0)
        first = threading.Thread(target=shop.handle, args=(created | {"id": "evt_a"}, StripeSync(slow, TIERS)))
        first.start()
        assert slow.has_read.wait(10)
        shop.stripe_sync.gateway.cancel_subscription(subscription)
        second = threading.Thread(target=shop.handle, args=(created | {"id": "evt_b"},))
        second.start()
        second.join(0.5)
        slow.may_go_on.set()
        first.join()
        second.join()
        assert shop.scalar("SELECT status FROM subscriptions") == "canceled"
        assert shop.scalar("SELECT subscription_tier FROM users") == "free"


class TestEarly:
    def test_an_event_that_is_faster_than_our_commit_waits_for_it(self, shop: Shop):
        user = shop.user()
        with session_scope() as session:
            _, request = purchases.start(session, user, package_id="pack_100", payment_method_id=CARD)
            customer = shop.stripe_sync.gateway.create_customer(user.id, email=user.email, name="x", key="c")
            shop.stripe_sync.gateway.create_payment(customer=customer["id"], key=request.key, **request.params)
            [paid] = shop.events("payment_intent.succeeded")
            waiting = shop.handle(paid)
            assert waiting.status is EventStatus.WAITING
            assert waiting.error.startswith("orphan")
        shop.event_later()
        assert shop.handle(paid).status is EventStatus.DONE
        assert shop.credits(user) == 100

    def test_an_event_whose_purchase_never_comes_is_shown_to_a_person(self, shop: Shop):
        customer = shop.stripe_sync.gateway.create_customer(shop.user().id, email="a@example.com", name="x", key="c")
        shop.stripe_sync.gateway.create_payment(
            customer=customer["id"],
            amount=999,
            currency="usd",
            payment_method=CARD,
            description="d",
            metadata={"agentforge_purchase": "5f1f3f6e-0000-4000-8000-000000000000"},
            key="p",
        )
        [paid] = shop.events("payment_intent.succeeded")
        for _ in range(stripe_events.MAX_ATTEMPTS):
            shop.event_later()
            last = shop.handle(paid)
        assert last.status is EventStatus.DEAD
        assert last.error.startswith("orphan")
        assert shop.scalar("SELECT count(*) FROM billing_alerts") == 1


class TestNotOurs:
    def test_a_payment_of_a_subscription_grants_no_package(self, shop: Shop):
        user = shop.user()
        answer = shop.perform(shop.wants_plan(user)).result
        shop.stripe.pay_intent(answer["clientSecret"])
        [paid] = shop.events("payment_intent.succeeded")
        assert shop.handle(paid).status is EventStatus.IGNORED
        assert shop.credits(user) == 0

    def test_a_payment_that_we_did_not_ask_for_is_ignored(self, shop: Shop):
        customer = shop.stripe_sync.gateway.create_customer(shop.user().id, email="a@example.com", name="x", key="c")
        shop.stripe_sync.gateway.create_payment(
            customer=customer["id"],
            amount=999,
            currency="usd",
            payment_method=CARD,
            description="d",
            metadata={},
            key="p",
        )
        assert set(shop.handle_all("payment_intent.created", "payment_intent.succeeded")) == {"ignored"}

    def test_types_without_an_effect_are_kept_and_ignored(self, shop: Shop):
        strange = shop.stripe.emit_event("price.invented", shop.buys(shop.user()).payment_intent_id)
        assert shop.handle(strange).status is EventStatus.IGNORED


class TestSweeping:
    def test_two_sweeps_at_once_enqueue_once_for_each_event(self, shop: Shop):
        for _ in range(10):
            shop.buys(shop.user())
        shop.receive(*shop.events("payment_intent.created"))
        shop.scalar("UPDATE stripe_events SET received_at = received_at - interval '1 minute' RETURNING 1")
        enqueued = [one for sweep in at_once([due] * 4) for one in sweep]
        assert len(enqueued) == len(set(enqueued)) == 10


class TestWhoAsks:
    def test_concurrent_requests_and_events_of_one_user_do_not_deadlock(self, shop: Shop):
        user = shop.user()
        requests_of_user = [shop.wants(user, card=CARD) for _ in range(4)]
        shop.perform(requests_of_user[0])
        shop.stripe.refund(shop.intents()[0]["id"])
        news = shop.events()
        shop.receive(*news)
        calls = [lambda r=request: requests.perform(shop.stripe_sync, r.id) for request in requests_of_user[1:]]
        calls += [lambda e=event: events.handle(shop.stripe_sync, e["id"]) for event in news]
        at_once(calls)
        shop.event_later()
        assert "waiting" not in shop.handle_all()
        assert shop.credits(user) == 300


def due() -> list[str]:
    with session_scope() as session:
        return list(stripe_events.due(session))
