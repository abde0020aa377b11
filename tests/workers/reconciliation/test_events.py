"""Events that never arrived are found in Stripe's list, even if Stripe counts them as delivered."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from models.tables import Action, EventStatus, PurchaseStatus, RunKind, RunStatus, StripeEvent
from tests.support.stripe.books import Books
from tests.support.stripe.shop import CARD, TIERS, SlowReader, at_once
from workers.reconciliation import runner
from workers.stripe.sync import StripeSync


def whole_life(books: Books) -> None:
    """A purchase, a refund of half of it, a dispute, a subscription that renews: one of everything that may be lost."""
    user = books.shop.user()
    purchase = books.shop.buys(user, "pack_500")
    books.stripe.pay_intent(purchase.payment_intent_id)
    books.stripe.refund(purchase.payment_intent_id, amount=2000)
    other = books.shop.buys(user, card=CARD)
    dispute = books.stripe.create_dispute(other.payment_intent_id)
    books.stripe.move_dispute(dispute["id"], "won")
    subscriber = books.shop.user()
    books.shop.perform(books.shop.wants_plan(subscriber))
    books.stripe.pay_intent(books.shop.intents()[-1]["id"])
    books.stripe.advance_clock(days=20)


def state(books: Books) -> list[object]:
    """All results, without the times of the rows."""
    return [
        books.shop.scalar(f"SELECT jsonb_agg(to_jsonb(found) ORDER BY to_jsonb(found)::text) FROM ({query}) found")
        for query in (
            "SELECT status, credits_taken, payment_intent_id FROM purchases",
            "SELECT key, amount, type FROM credit_transactions",
            "SELECT stripe_id, status, counted_cents FROM refunds",
            "SELECT stripe_id, status, counted_cents FROM disputes",
            "SELECT stripe_id, status, grants, current_period_end FROM subscriptions",
            "SELECT stripe_id, status, payment_intent_id FROM invoices",
            "SELECT subscription_tier FROM users",
        )
    ]


class TestMissingEvents:
    def test_all_are_taken_in_and_the_books_are_as_if_they_had_come(self, books: Books):
        whole_life(books)
        run = books.run(RunKind.EVENTS)
        assert (run.status, run.failed) == (RunStatus.DONE, 0)
        assert run.repaired == len(books.found(run)) > 10
        assert (
            books.shop.scalar("SELECT count(*) FROM stripe_events WHERE status IN ('done', 'ignored')") == run.repaired
        )
        after = state(books)
        books.shop.handle_all()  # now they do come, late
        assert state(books) == after
        assert books.run(RunKind.OBJECTS).repaired == 0

    def test_each_alone_is_found_among_those_that_came(self, books: Books):
        whole_life(books)
        books.shop.handle_all()
        before = state(books)
        for event in books.shop.events():
            books.forget(f"DELETE FROM stripe_events WHERE id = '{event['id']}'")
            run = books.run(RunKind.EVENTS, since=datetime.now(UTC) - timedelta(days=1))
            expected = [] if event["type"] not in runner.EVENTS else [(event["id"], Action.REPAIRED)]
            assert [(found.subject, found.action) for found in books.found(run)] == expected
        assert state(books) == before

    def test_a_second_run_repairs_nothing(self, books: Books):
        whole_life(books)
        books.run(RunKind.EVENTS)
        second = books.run(RunKind.EVENTS, since=datetime.now(UTC) - timedelta(days=1))
        assert (second.repaired, second.reported, second.failed) == (0, 0, 0)
        assert second.checked > 10  # it looked at them all the same

    def test_one_that_cannot_be_handled_stays_in_the_inbox_and_stops_no_other(self, books: Books):
        first, second = books.shop.user(), books.shop.user()
        purchase, lost = books.shop.buys(second), books.shop.buys(first)
        books.stripe.pay_intent(lost.payment_intent_id)
        books.stripe.pay_intent(purchase.payment_intent_id)
        books.forget(f"DELETE FROM purchases WHERE id = '{lost.id}'")
        run = books.run(RunKind.EVENTS)
        assert run.status is RunStatus.DONE
        assert books.shop.fresh(purchase).status is PurchaseStatus.SUCCEEDED
        waiting = books.shop.scalar(
            "SELECT count(*) FROM stripe_events WHERE status = 'waiting' AND error LIKE 'orphan%'"
        )
        assert waiting > 0

    def test_a_young_event_may_still_be_on_its_way(self, books: Books):
        purchase = books.shop.buys(books.shop.user())
        books.stripe.pay_intent(purchase.payment_intent_id)
        early = books.run(RunKind.EVENTS, books.reconciler(settling=timedelta(minutes=2)))
        assert (early.checked, early.repaired) == (0, 0)
        books.stripe.advance_clock(hours=0.1)
        assert books.run(RunKind.EVENTS, books.reconciler(settling=timedelta(minutes=2))).repaired > 0

    def test_more_than_a_page_of_them_is_read_to_the_end(self, books: Books):
        customer = books.shop.user()
        books.shop.buys(customer)
        [intent] = books.shop.intents()
        emitted = [books.stripe.emit_event("payment_intent.processing", intent["id"]) for _ in range(250)]
        books.shop.receive(*emitted[2:])
        run = books.run(RunKind.EVENTS)
        assert run.checked >= 250
        assert {found.subject for found in books.found(run)} >= {event["id"] for event in emitted[:2]}


class TestTheWatermark:
    def test_moves_with_a_whole_run_and_begins_the_next_some_time_before(self, books: Books):
        books.shop.buys(books.shop.user())
        books.run(RunKind.EVENTS)
        reached = books.watermark(RunKind.EVENTS)
        assert reached is not None
        assert books.run(RunKind.EVENTS).since == reached - runner.OVERLAP[RunKind.EVENTS]

    def test_stays_when_stripe_breaks_off(self, books: Books):
        books.stripe.fail_next("GET", "/v1/events", "503", times=50)
        run = books.run(RunKind.EVENTS)
        assert (run.status, books.watermark(RunKind.EVENTS)) == (RunStatus.INCOMPLETE, None)
        assert "stripe" in (run.error or "")
        assert books.pauses == list(runner.PAUSES)

    def test_stays_when_it_was_only_a_trial(self, books: Books):
        books.run(RunKind.EVENTS, dry_run=True)
        assert books.watermark(RunKind.EVENTS) is None

    def test_stays_when_the_worker_shuts_down(self, books: Books):
        books.shop.buys(books.shop.user())
        run = books.run(RunKind.EVENTS, books.reconciler(stopped=lambda: True))
        assert (run.status, books.watermark(RunKind.EVENTS)) == (RunStatus.INCOMPLETE, None)

    def test_never_moves_back(self, books: Books):
        books.run(RunKind.EVENTS)
        reached = books.watermark(RunKind.EVENTS)
        books.run(RunKind.EVENTS, books.reconciler(clock=lambda: reached - timedelta(days=1)))
        assert books.watermark(RunKind.EVENTS) == reached


class TestBesideTheWebhooks:
    def test_events_that_arrive_meanwhile_take_effect_once(self, books: Books):
        user = books.shop.user()
        purchases = [books.shop.buys(user) for _ in range(6)]
        for purchase in purchases:
            books.stripe.pay_intent(purchase.payment_intent_id)
        news = books.shop.events()
        runs = [lambda: books.reconciler().run(RunKind.EVENTS), lambda: books.reconciler().run(RunKind.PURCHASES)]
        at_once([*runs, lambda: [books.shop.handle(event) for event in news]])
        books.shop.event_later()
        books.shop.handle_all()
        assert books.shop.credits(user) == 600
        assert len(books.shop.keys(user)) == 6
        assert books.run(RunKind.OBJECTS).repaired == 0

    def test_what_it_read_earlier_is_not_written_over_what_a_webhook_brought(self, books: Books):
        shop = books.shop
        shop.stripe.pay_intent(shop.perform(shop.wants_plan(shop.user())).result["clientSecret"])
        [created] = shop.events("customer.subscription.created")
        slow = SlowReader(shop.stripe.secret_key, shop.stripe.url, retries=0)
        reconciler = books.reconciler(sync=StripeSync(slow, TIERS))
        run = threading.Thread(target=reconciler.run, args=(RunKind.OBJECTS,))
        run.start()
        assert slow.has_read.wait(10)  # the subscription, as it was: active
        shop.stripe_sync.gateway.cancel_subscription(created["data"]["object"]["id"])
        webhook = threading.Thread(target=shop.handle, args=(created,))
        webhook.start()
        webhook.join(0.5)
        slow.may_go_on.set()
        run.join()
        webhook.join()
        assert shop.scalar("SELECT status FROM subscriptions") == "canceled"
        assert shop.scalar("SELECT subscription_tier FROM users") == "free"

    def test_two_runs_at_once_are_one(self, books: Books):
        books.shop.buys(books.shop.user())
        books.stripe.fail_next("GET", "/v1/events", "slow", seconds=1.0)
        ids = at_once([lambda: books.reconciler().run(RunKind.EVENTS)] * 2)
        assert ids.count(None) == 1
        assert books.reconciler().run(RunKind.EVENTS) is not None  # and the next one may

    def test_a_dead_run_is_distinguished_from_one_in_progress(self, books: Books):
        books.forget("INSERT INTO reconciliation_runs (kind, since) VALUES ('events', now())")
        books.run(RunKind.EVENTS)
        assert books.shop.scalar("SELECT count(*) FROM reconciliation_runs WHERE status = 'abandoned'") == 1


class TestWhenItIsDue:
    def test_rows_remember_what_beat_forgets(self, books: Books):
        reconciler = books.reconciler()
        assert reconciler.run_if_due(RunKind.PURCHASES) is not None
        assert reconciler.run_if_due(RunKind.PURCHASES) is None
        books.forget("UPDATE reconciliation_runs SET created_at = created_at - interval '1 hour'")
        assert reconciler.run_if_due(RunKind.PURCHASES) is not None

    @pytest.mark.parametrize("column", ["dry_run = true", "status = 'incomplete'"])
    def test_a_run_that_was_not_whole_does_not_count(self, books: Books, column):
        reconciler = books.reconciler()
        reconciler.run_if_due(RunKind.PURCHASES)
        books.forget(f"UPDATE reconciliation_runs SET {column}")
        assert reconciler.run_if_due(RunKind.PURCHASES) is not None


def test_a_dry_run_writes_nothing_but_its_report(books: Books):
    whole_life(books)
    before = state(books)
    run = books.run(RunKind.EVENTS, dry_run=True)
    assert state(books) == before
    assert books.shop.scalar("SELECT count(*) FROM stripe_events") == 0
    assert {found.action for found in books.found(run)} == {Action.REPAIRABLE}
    assert books.run(RunKind.EVENTS).repaired == run.repaired


def test_an_event_taken_in_is_kept_like_any_other(books: Books):
    purchase = books.shop.buys(books.shop.user())
    books.stripe.pay_intent(purchase.payment_intent_id)
    books.run(RunKind.EVENTS)
    [event] = books.shop.events("payment_intent.succeeded")
    assert books.shop.see(StripeEvent, event["id"]).status is EventStatus.DONE
