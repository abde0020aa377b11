import itertools
import threading
from copy import deepcopy
from decimal import Decimal
from functools import partial

import pytest

from models.db import session_scope
from models.purchase import PurchaseStatus
from models.services import billing_events, purchases
from models.stripe_event import EventStatus, StripeEvent
from tests.billing.shop import CARD, TIERS, Shop, SlowReader, at_once, follower
from workers.billing import events, requests
from workers.billing.subjects import Follower

HISTORY = ("payment_intent.created", "payment_intent.payment_failed", "payment_intent.succeeded", "refund.created")


def intent_of(event: dict) -> str:
    thing = event["data"]["object"]
    return thing["id"] if thing["object"] == "payment_intent" else thing["payment_intent"]


class TestOnce:
    def test_one_event_in_eight_hands_grants_once(self, shop: Shop):
        user = shop.user()
        shop.stripe.pay_intent(shop.buys(user).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        shop.receive(paid)
        at_once([lambda: events.handle(shop.follower, paid["id"])] * 8)
        assert shop.credits(user) == 100
        assert shop.see(StripeEvent, paid["id"]).status is EventStatus.DONE

    def test_eight_events_about_one_payment_grant_once(self, shop: Shop):
        user = shop.user()
        shop.stripe.pay_intent(shop.buys(user).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        copies = [paid | {"id": f"evt_copy_{number}"} for number in range(8)]
        at_once([lambda copy=copy: shop.handle(copy) for copy in copies])
        shop.event_later()
        assert {shop.handle(copy).status for copy in copies} == {EventStatus.DONE}
        assert shop.credits(user) == 100
        assert len(shop.keys(user)) == 1

    def test_the_worker_who_asked_and_the_event_that_tells_grant_once(self, shop: Shop):
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
    def test_in_whatever_order_and_however_often_the_news_comes_the_end_is_the_same(self, shop: Shop):
        orders = list(itertools.permutations(HISTORY))
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
        shop.stripe.pay_intent(shop.perform(shop.wants_plan(user, card=CARD)).answer["clientSecret"])
        subscription = shop.stripe.objects("subscription")[0]["id"]
        [created] = shop.events("customer.subscription.created")
        shop.handle(created)
        shop.follower.gateway.cancel_at_period_end(
            shop.follower.gateway.subscription(subscription), cancel=True, key="first"
        )
        slow = SlowReader(shop.stripe.secret_key, shop.stripe.url, retries=0)
        first = threading.Thread(target=shop.handle, args=(created | {"id": "evt_a"}, Follower(slow, TIERS)))
        first.start()
        assert slow.has_read.wait(10)
        shop.follower.gateway.cancel_subscription(subscription)
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
            customer = shop.follower.gateway.create_customer(user.id, email=user.email, name="x", key="c")
            shop.follower.gateway.create_payment(customer=customer["id"], key=request.key, **request.params)
            [paid] = shop.events("payment_intent.succeeded")
            waiting = shop.handle(paid)
            assert waiting.status is EventStatus.WAITING
            assert waiting.error.startswith("orphan")
        shop.event_later()
        assert shop.handle(paid).status is EventStatus.DONE
        assert shop.credits(user) == 100

    def test_an_event_whose_purchase_never_comes_is_shown_to_a_person(self, shop: Shop):
        customer = shop.follower.gateway.create_customer(shop.user().id, email="a@example.com", name="x", key="c")
        shop.follower.gateway.create_payment(
            customer=customer["id"],
            amount=999,
            currency="usd",
            payment_method=CARD,
            description="d",
            metadata={"agentforge_purchase": "5f1f3f6e-0000-4000-8000-000000000000"},
            key="p",
        )
        [paid] = shop.events("payment_intent.succeeded")
        for _ in range(billing_events.MOST_ATTEMPTS):
            shop.event_later()
            last = shop.handle(paid)
        assert last.status is EventStatus.DEAD
        assert last.error.startswith("orphan")
        assert shop.scalar("SELECT count(*) FROM billing_alerts") == 1


class TestNotOurs:
    def test_a_payment_of_a_subscription_grants_no_package(self, shop: Shop):
        user = shop.user()
        answer = shop.perform(shop.wants_plan(user, card=CARD)).answer
        shop.stripe.pay_intent(answer["clientSecret"])
        [paid] = shop.events("payment_intent.succeeded")
        assert shop.handle(paid).status is EventStatus.IGNORED
        assert shop.credits(user) == 0

    def test_a_payment_that_we_did_not_ask_for_is_ignored(self, shop: Shop):
        customer = shop.follower.gateway.create_customer(shop.user().id, email="a@example.com", name="x", key="c")
        shop.follower.gateway.create_payment(
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


class TestPoison:
    def test_an_event_that_cannot_be_read_ends_as_a_dead_letter_and_others_go_on(self, shop: Shop):
        user = shop.user()
        shop.stripe.pay_intent(shop.buys(user).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        poison = paid | {"id": "evt_poison", "data": {"nothing": True}}
        for _ in range(billing_events.MOST_ATTEMPTS):
            shop.event_later()
            last = shop.handle(poison)
        assert (last.status, last.error) == (EventStatus.DEAD, "KeyError: 'object'")
        assert shop.handle(paid).status is EventStatus.DONE
        assert shop.credits(user) == 100

    def test_an_administrator_can_have_it_tried_again(self, shop: Shop):
        user = shop.user()
        shop.stripe.pay_intent(shop.buys(user).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        shop.receive(paid)
        with session_scope() as session:
            billing_events.dead(session, paid["id"], "for a test")
            billing_events.retry_dead(session, paid["id"])
        events.handle(shop.follower, paid["id"])
        assert shop.credits(user) == 100

    def test_an_outage_of_stripe_kills_no_event(self, shop: Shop):
        user = shop.user()
        shop.stripe.pay_intent(shop.buys(user).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        shop.stripe.fail_next("GET", "/v1/payment_intents/*", "503", times=100)
        for _ in range(billing_events.MOST_ATTEMPTS + 3):
            shop.event_later()
            assert shop.handle(paid).status is EventStatus.WAITING
        shop.stripe.stop_failing()
        shop.event_later()
        assert shop.handle(paid).status is EventStatus.DONE
        assert shop.credits(user) == 100

    def test_a_key_that_was_revoked_kills_no_event(self, shop: Shop):
        shop.stripe.pay_intent(shop.buys(shop.user()).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        for _ in range(billing_events.MOST_ATTEMPTS + 3):
            shop.event_later()
            last = shop.handle(paid, follower(shop.stripe, key="sk_test_revoked"))
        assert last.status is EventStatus.WAITING


class TestCrashes:
    def test_nothing_of_an_effect_is_left_when_its_worker_dies_before_the_end(self, shop: Shop):
        user = shop.user()
        shop.stripe.pay_intent(shop.buys(user).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        shop.receive(paid)
        with pytest.raises(SystemExit):
            self._die_before_the_end(shop, paid["id"])
        assert shop.credits(user) == 0
        assert shop.handle(paid).status is EventStatus.DONE
        assert shop.credits(user) == 100

    def test_a_late_second_worker_that_looks_at_the_row_does_not_leave_it_to_the_sweep(self, shop: Shop):
        user = shop.user()
        shop.stripe.pay_intent(shop.buys(user).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        shop.receive(paid)
        first = threading.Thread(target=events._handle, args=(shop.follower, paid["id"]))
        with session_scope() as late:
            late.get_one(StripeEvent, paid["id"], with_for_update=True)
            first.start()
            first.join(0.3)
        first.join()
        assert shop.credits(user) == 100

    @staticmethod
    def _die_before_the_end(shop: Shop, event_id: str) -> None:
        with session_scope() as session:
            event = billing_events.claim(session, event_id)
            assert events._take_effect(shop.follower, session, event)
            raise SystemExit

    def test_an_event_whose_worker_died_is_rung_for_again(self, shop: Shop):
        shop.stripe.pay_intent(shop.buys(shop.user()).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        shop.receive(paid)
        with session_scope() as session:
            assert billing_events.begin(session, paid["id"])
        assert shop.handle(paid).status is EventStatus.RECEIVED  # somebody has just begun
        shop.scalar("UPDATE stripe_events SET begun_at = begun_at - interval '2 minutes' RETURNING 1")
        with session_scope() as session:
            assert billing_events.due(session, again=0) == [paid["id"]]
        assert shop.handle(paid).status is EventStatus.DONE


class TestSweeping:
    def test_two_sweeps_at_once_ring_once_for_each_event(self, shop: Shop):
        for _ in range(10):
            shop.buys(shop.user())
        shop.receive(*shop.events("payment_intent.created"))
        shop.scalar("UPDATE stripe_events SET received_at = received_at - interval '1 minute' RETURNING 1")
        rung = [one for sweep in at_once([due] * 4) for one in sweep]
        assert len(rung) == len(set(rung)) == 10


class TestWhoAsks:
    def test_requests_and_events_of_one_user_at_once_never_stand_in_each_others_way(self, shop: Shop):
        user = shop.user()
        requests_of_user = [shop.wants(user, card=CARD) for _ in range(4)]
        shop.perform(requests_of_user[0])
        shop.stripe.refund(shop.intents()[0]["id"])
        news = shop.events()
        shop.receive(*news)
        calls = [lambda r=request: requests.perform(shop.follower, r.id) for request in requests_of_user[1:]]
        calls += [lambda e=event: events.handle(shop.follower, e["id"]) for event in news]
        at_once(calls)
        shop.event_later()
        assert "waiting" not in shop.handle_all()
        assert shop.credits(user) == 300


def due() -> list[str]:
    with session_scope() as session:
        return list(billing_events.due(session))
