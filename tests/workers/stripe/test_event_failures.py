"""Events whose handling fails: dead letters, outages, keys without rights, workers that die."""

import threading

import pytest

from models.db import session_scope
from models.services.stripe import stripe_events
from models.tables import EventStatus, PurchaseStatus, StripeEvent
from tests.support.stripe.shop import Shop, stripe_sync
from workers.stripe import events


class TestPoison:
    def test_an_unreadable_event_ends_as_a_dead_letter_and_others_go_on(self, shop: Shop):
        user, paid = shop.has_paid()
        poison = paid | {"id": "evt_poison", "data": {"nothing": True}}
        for _ in range(stripe_events.MAX_ATTEMPTS):
            shop.event_later()
            last = shop.handle(poison)
        assert (last.status, last.error) == (EventStatus.DEAD, "KeyError: 'object'")
        assert shop.handle(paid).status is EventStatus.DONE
        assert shop.credits(user) == 100

    def test_an_administrator_can_have_it_tried_again(self, shop: Shop):
        user, paid = shop.has_paid()
        shop.receive(paid)
        with session_scope() as session:
            stripe_events.give_up(session, paid["id"], "for a test")
            stripe_events.retry_dead(session, paid["id"])
        events.handle(shop.stripe_sync, paid["id"])
        assert shop.credits(user) == 100

    def test_an_outage_of_stripe_kills_no_event(self, shop: Shop):
        user, paid = shop.has_paid()
        shop.stripe.fail_next("GET", "/v1/payment_intents/*", "503", times=100)
        for _ in range(stripe_events.MAX_ATTEMPTS + 3):
            shop.event_later()
            assert shop.handle(paid).status is EventStatus.WAITING
        shop.stripe.stop_failing()
        shop.event_later()
        assert shop.handle(paid).status is EventStatus.DONE
        assert shop.credits(user) == 100

    def test_a_key_that_was_revoked_kills_no_event(self, shop: Shop):
        shop.stripe.pay_intent(shop.buys(shop.user()).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        for _ in range(stripe_events.MAX_ATTEMPTS + 3):
            shop.event_later()
            last = shop.handle(paid, stripe_sync(shop.stripe, key="sk_test_revoked"))
        assert last.status is EventStatus.WAITING


class TestCrashes:
    def test_nothing_of_an_effect_is_left_when_its_worker_dies_before_the_end(self, shop: Shop):
        user, paid = shop.has_paid()
        shop.receive(paid)
        with pytest.raises(SystemExit):
            self._die_before_the_end(shop, paid["id"])
        assert shop.credits(user) == 0
        assert shop.handle(paid).status is EventStatus.DONE
        assert shop.credits(user) == 100

    def test_a_late_second_worker_does_not_leave_the_row_to_the_sweep(self, shop: Shop):
        user, paid = shop.has_paid()
        shop.receive(paid)
        first = threading.Thread(target=events._handle, args=(shop.stripe_sync, paid["id"]))
        with session_scope() as late:
            late.get_one(StripeEvent, paid["id"], with_for_update=True)
            first.start()
            first.join(0.3)
        first.join()
        assert shop.credits(user) == 100

    @staticmethod
    def _die_before_the_end(shop: Shop, event_id: str) -> None:
        with session_scope() as session:
            event = stripe_events.claim(session, event_id)
            assert events._take_effect(shop.stripe_sync, session, event)
            raise SystemExit

    def test_an_event_whose_worker_died_is_enqueued_again(self, shop: Shop):
        shop.stripe.pay_intent(shop.buys(shop.user()).payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        shop.receive(paid)
        with session_scope() as session:
            assert stripe_events.begin(session, paid["id"])
        assert shop.handle(paid).status is EventStatus.RECEIVED  # somebody has just begun
        shop.scalar("UPDATE stripe_events SET begun_at = begun_at - interval '2 minutes' RETURNING 1")
        with session_scope() as session:
            assert stripe_events.due(session, again=0) == [paid["id"]]
        assert shop.handle(paid).status is EventStatus.DONE


class TestWhatWeMayNotSee:
    def test_ends_at_once_with_an_alert(self, shop: Shop):
        purchase = shop.buys(shop.user())
        shop.stripe.pay_intent(purchase.payment_intent_id)
        [paid] = shop.events("payment_intent.succeeded")
        shop.stripe.fail_next("GET", "/v1/payment_intents/*", "403", times=20)
        handled = shop.handle(paid)
        assert (handled.status, handled.attempts) == (EventStatus.DEAD, 1)
        assert "no permission" in handled.error
        assert shop.scalar("SELECT kind FROM billing_alerts WHERE resolved_at IS NULL") == "dead_event"
        shop.stripe.stop_failing()
        with session_scope() as session:
            stripe_events.retry_dead(session, paid["id"])
        events.handle(shop.stripe_sync, paid["id"])
        assert shop.fresh(purchase).status is PurchaseStatus.SUCCEEDED

    def test_an_event_unknown_to_our_key_ends_at_once(self, shop: Shop):
        purchase = shop.buys(shop.user())
        [created] = shop.events("payment_intent.created")
        created["data"]["object"]["id"] = "pi_of_another_account"
        handled = shop.handle(created)
        assert (handled.status, handled.attempts) == (EventStatus.DEAD, 1)
        assert shop.fresh(purchase).status is PurchaseStatus.PENDING

    def test_a_wrong_key_is_waited_for(self, shop: Shop):
        shop.buys(shop.user())
        [created] = shop.events("payment_intent.created")
        assert shop.handle(created, stripe_sync(shop.stripe, key="sk_test_wrong")).status is EventStatus.WAITING
