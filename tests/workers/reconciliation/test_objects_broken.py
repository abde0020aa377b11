"""Comparing with Stripe while Stripe, the database or the clock does what it should not."""

from models.tables import Action, PurchaseStatus, RunKind, RunStatus
from tests.support.stripe.books import Books
from tests.workers.reconciliation.test_objects import paid
from workers.reconciliation import comparing


class TestWhenThingsBreak:
    def test_one_broken_object_does_not_stop_the_rest(self, books: Books):
        _, broken = paid(books)
        user, _ = paid(books)
        books.stripe.change(broken.payment_intent_id, status=["what?"])
        run = books.run(RunKind.PURCHASES)
        assert books.shop.credits(user) == 550
        assert (run.status, run.repaired, run.failed) == (RunStatus.DONE, 1, 1)
        [failed] = [found for found in books.found(run) if found.action is Action.FAILED]
        assert (failed.subject, failed.problem) == (broken.payment_intent_id, "not_compared")

    def test_one_that_cannot_be_read_now_leaves_the_run_incomplete(self, books: Books):
        (_, unlucky), (user, _) = paid(books), paid(books)
        books.stripe.fail_next("GET", f"/v1/payment_intents/{unlucky.payment_intent_id}", "503", times=5)
        run = books.run(RunKind.PURCHASES)
        assert (run.status, run.failed, books.watermark(RunKind.PURCHASES)) == (RunStatus.INCOMPLETE, 1, None)
        assert books.shop.credits(user) == 550
        books.stripe.stop_failing()
        assert books.run(RunKind.PURCHASES).repaired == 1

    def test_a_rate_limit_in_the_middle_of_a_list_is_waited_for(self, books: Books, monkeypatch):
        monkeypatch.setattr("workers.gateways.stripe.client.RETRY_BUDGET_SECONDS", 0.0)
        user, _ = paid(books)
        books.stripe.fail_next("GET", "/v1/payment_intents", "429", times=2)
        run = books.run(RunKind.PURCHASES)
        assert (run.status, run.repaired, books.shop.credits(user)) == (RunStatus.DONE, 1, 550)
        assert len(books.pauses) == 2

    def test_it_stops_when_stripe_is_away_instead_of_reporting_every_object(self, books: Books, monkeypatch):
        monkeypatch.setattr(comparing, "MAX_FAILURES", 3)
        user = books.shop.user()
        for _ in range(5):
            books.stripe.pay_intent(books.shop.buys(user).payment_intent_id)
        books.stripe.fail_next("GET", "/v1/payment_intents/*", "503", times=100)
        run = books.run(RunKind.PURCHASES)
        books.stripe.stop_failing()
        assert (run.status, run.failed) == (RunStatus.INCOMPLETE, 3)

    def test_a_payment_over_another_amount_is_put_before_a_person_once(self, books: Books):
        user, purchase = paid(books)
        books.stripe.change(purchase.payment_intent_id, amount_received=1)
        run = books.run(RunKind.PURCHASES)
        assert (run.repaired, books.shop.credits(user)) == (1, 0)
        assert books.shop.fresh(purchase).status is PurchaseStatus.REVIEW
        assert books.run(RunKind.PURCHASES).repaired == 0
