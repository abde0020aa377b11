"""Every object of Stripe's is compared with our row, both ways, and each repair is the webhook's own."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from models.rules.prices.pricing import Tier
from models.tables import Action, Purchase, PurchaseStatus, RunKind, RunStatus, User
from tests.support.stripe.books import Books
from tests.support.stripe.shop import CARD

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def paid(books: Books, package: str = "pack_500") -> tuple[User, Purchase]:
    """A purchase that was paid at Stripe, without an event."""
    user = books.shop.user()
    purchase = books.shop.buys(user, package)
    books.stripe.pay_intent(purchase.payment_intent_id)
    return user, purchase


def subscribe(books: Books, user: User) -> None:
    """A subscription whose first invoice is paid."""
    books.shop.perform(books.shop.wants_plan(user))
    books.stripe.pay_intent(books.shop.intents()[-1]["id"])


def problems(books: Books, run) -> list[tuple[str, str, Action]]:
    return [(found.check, found.problem, found.action) for found in books.found(run)]


def repairs_nothing_more(books: Books) -> None:
    books.run(RunKind.EVENTS)
    for kind in RunKind:
        second = books.run(kind)
        assert (second.status, second.repaired, second.reported, second.failed) == (RunStatus.DONE, 0, 0, 0), kind


class TestPayments:
    @pytest.mark.parametrize("kind", [RunKind.PURCHASES, RunKind.OBJECTS])
    def test_one_that_was_paid_is_granted_and_the_finding_says_so(self, books: Books, kind):
        user, purchase = paid(books)
        run = books.run(kind)
        assert books.shop.credits(user) == 550
        [found] = books.found(run)
        assert (found.subject, found.check, found.action) == (purchase.payment_intent_id, "payments", Action.REPAIRED)
        assert found.changes["status"] == ["pending", "succeeded"]
        assert found.changes["granted"] == [None, "550.00"]
        books.shop.handle_all()
        assert books.shop.credits(user) == 550

    def test_a_second_run_repairs_nothing(self, books: Books):
        paid(books)
        assert books.run(RunKind.OBJECTS).repaired == 1
        books.shop.handle_all()
        repairs_nothing_more(books)

    def test_one_that_failed_or_was_given_up_says_so(self, books: Books):
        purchase = books.shop.buys(books.shop.user())
        books.shop.stripe_sync.gateway.cancel_payment(purchase.payment_intent_id, key="by hand")
        books.run(RunKind.PURCHASES)
        assert books.shop.fresh(purchase).status is PurchaseStatus.CANCELED

    def test_one_that_is_still_open_is_none_of_its_business(self, books: Books):
        books.shop.buys(books.shop.user())
        run = books.run(RunKind.PURCHASES)
        assert (run.checked, run.repaired) == (1, 0)

    def test_an_old_one_that_is_still_open_here_is_asked_for_by_name(self, books: Books):
        user, _ = paid(books)
        books.forget("UPDATE purchases SET created_at = now() - interval '20 minutes'")
        since = datetime.fromtimestamp(books.stripe.now(), UTC) + timedelta(seconds=5)  # Stripe lists none
        run = books.run(RunKind.PURCHASES, since=since)
        assert (run.checked, run.repaired, books.shop.credits(user)) == (1, 1, 550)
        assert books.run(RunKind.PURCHASES, since=since).checked == 0

    def test_one_that_was_under_way_for_weeks_and_failed_says_so(self, books: Books):
        books.stripe.keep_processing()
        purchase = books.shop.buys(books.shop.user(), card=CARD)
        books.stripe.keep_processing(False)
        books.stripe.settle_processing(purchase.payment_intent_id, succeeds=False)
        books.stripe.change(purchase.payment_intent_id, created=int(LONG_AGO.timestamp()))
        books.forget("UPDATE purchases SET created_at = created_at - interval '60 days'")
        assert books.run(RunKind.PURCHASES).repaired == 1
        assert books.shop.fresh(purchase).status is PurchaseStatus.FAILED

    def test_those_of_subscriptions_grant_nothing(self, books: Books):
        user = books.shop.user()
        subscribe(books, user)
        books.run(RunKind.OBJECTS)
        assert books.shop.credits(user) == 0

    def test_more_than_a_page_of_them_is_compared(self, books: Books):
        _, purchase = paid(books)
        gateway = books.shop.stripe_sync.gateway
        for number in range(120):
            gateway.create_payment(
                customer=gateway.payment(purchase.payment_intent_id)["customer"],
                amount=100,
                currency="usd",
                payment_method=None,
                description="somebody else's",
                metadata={},
                key=f"other-{number}",
            )
        run = books.run(RunKind.PURCHASES)
        assert (run.checked, run.repaired) == (121, 1)


class TestWhatWasReturned:
    def test_refunds_and_disputes_without_events_are_counted(self, books: Books):
        user, purchase = paid(books)
        books.run(RunKind.PURCHASES)
        books.stripe.refund(purchase.payment_intent_id, amount=3999 // 3)
        books.stripe.create_dispute(purchase.payment_intent_id)
        run = books.run(RunKind.OBJECTS)
        assert {found.check for found in books.found(run)} == {"refunds", "disputes"}
        assert books.shop.credits(user) == 0
        books.shop.handle_all()
        assert books.shop.credits(user) == 0
        repairs_nothing_more(books)

    def test_one_that_ended_otherwise_is_asked_for_by_name_however_old(self, books: Books):
        user, purchase = paid(books)
        dispute = books.stripe.create_dispute(purchase.payment_intent_id)
        books.run(RunKind.OBJECTS)
        assert books.shop.credits(user) == 0
        books.stripe.change(dispute["id"], created=int(LONG_AGO.timestamp()))
        books.stripe.move_dispute(dispute["id"], "won")
        assert books.run(RunKind.OBJECTS).repaired == 1
        assert books.shop.credits(user) == 550


class TestSubscriptions:
    def test_the_tier_follows_changes_without_events(self, books: Books):
        user = books.shop.user()
        subscribe(books, user)
        books.forget("DELETE FROM subscriptions", "UPDATE users SET subscription_tier = 'free'")
        run = books.run(RunKind.OBJECTS)
        assert books.shop.fresh(user).subscription_tier is Tier.PREMIUM
        assert {found.check for found in books.found(run)} == {"subscriptions", "invoices"}
        assert books.found(run)[0].problem == "missing_here"
        repairs_nothing_more(books)

    def test_renewals_and_ends_older_than_stripes_events_are_found(self, books: Books):
        user = books.shop.user()
        subscribe(books, user)
        books.run(RunKind.OBJECTS)
        books.stripe.advance_clock(days=65)
        subscription = books.shop.subscription(user)
        books.stripe.cancel_subscription(subscription.stripe_id)
        run = books.run(RunKind.OBJECTS)
        assert run.repaired >= 3  # two renewals' invoices and the subscription
        assert books.shop.fresh(user).subscription_tier is Tier.FREE
        assert books.run(RunKind.OBJECTS).repaired == 0

    def test_an_invoice_that_lost_its_row_is_mirrored_again(self, books: Books):
        subscribe(books, books.shop.user())
        books.run(RunKind.OBJECTS)
        books.forget("DELETE FROM invoices")
        [found] = books.found(books.run(RunKind.OBJECTS))
        assert (found.check, found.problem) == ("invoices", "missing_here")


class TestOrphans:
    def test_a_purchase_that_the_database_lost_is_written_down_again(self, books: Books):
        """As after a restore: the user is back, what they bought since is not, and neither is their customer."""
        user, purchase = paid(books)
        books.forget(
            "DELETE FROM stripe_requests", "DELETE FROM purchases", "UPDATE users SET stripe_customer_id = NULL"
        )
        run = books.run(RunKind.OBJECTS)
        assert ("payments", "lost_here", Action.REPAIRED) in problems(books, run)
        again = books.shop.fresh(purchase)
        assert (again.status, again.package_id, again.user_id) == (PurchaseStatus.SUCCEEDED, "pack_500", user.id)
        assert books.shop.credits(user) == 550
        assert books.shop.fresh(user).stripe_customer_id == books.intent(purchase)["customer"]
        repairs_nothing_more(books)

    def test_a_refund_of_a_lost_purchase_finds_it_written_down(self, books: Books):
        user, purchase = paid(books)
        books.stripe.refund(purchase.payment_intent_id)
        books.forget("DELETE FROM stripe_requests", "DELETE FROM purchases")
        books.run(RunKind.OBJECTS)
        assert (books.shop.credits(user), len(books.shop.keys(user))) == (0, 2)
        repairs_nothing_more(books)

    def test_a_payment_without_a_user_is_reported_and_grants_nothing(self, books: Books):
        user, _ = paid(books)
        books.forget(
            "DELETE FROM stripe_requests",
            "DELETE FROM purchases",
            "DELETE FROM credits",
            f"DELETE FROM users WHERE id = '{user.id}'",
        )
        run = books.run(RunKind.OBJECTS)
        assert ("payments", "orphan", Action.REPORTED) in problems(books, run)
        assert books.shop.scalar("SELECT count(*) FROM purchases") == 0
        assert books.shop.scalar("SELECT count(*) FROM billing_alerts WHERE kind = 'orphan_payment'") == 1

    def test_what_stripe_does_not_know_is_reported_and_left_alone(self, books: Books):
        user, purchase = paid(books)
        books.run(RunKind.PURCHASES)
        books.forget(
            f"UPDATE purchases SET payment_intent_id = 'pi_nowhere', created_at = now() - interval '20 minutes'"
            f" WHERE id = '{purchase.id}'"
        )
        books.stripe.reset()
        run = books.run(RunKind.OBJECTS)
        assert ("payments", "unknown_to_stripe", Action.REPORTED) in problems(books, run)
        assert books.shop.credits(user) == 550
        # The books say so as well: the grant belongs to no payment of this purchase any more.
        assert {check for check, _, _ in problems(books, run)} == {"payments", "ledger"}


def test_whatever_was_tampered_with_in_the_ledger_is_reported(books: Books):
    planted = {
        "balance_is_sum_of_transactions": "UPDATE credits SET balance = balance + 1 WHERE user_id = '{0}'",
        "held_is_sum_of_open_holds": "UPDATE credits SET held = 5 WHERE user_id = '{0}'",
        "version_counts_transactions": "UPDATE credits SET version = version + 1 WHERE user_id = '{0}'",
        "paid_purchase_has_its_grant": "DELETE FROM credit_transactions WHERE user_id = '{0}'",
        "balance_after_is_running_sum": "UPDATE credit_transactions SET balance_after = 1 WHERE user_id = '{0}'",
        "taken_back_as_recorded": "UPDATE purchases SET credits_taken = 1 WHERE user_id = '{0}'",
        "grant_has_its_paid_purchase": "UPDATE credit_transactions SET key = 'pi:x' WHERE user_id = '{0}'",
        "user_has_a_wallet": "DELETE FROM credits WHERE user_id = '{0}'",
    }
    users = [paid(books)[0] for _ in planted]
    books.run(RunKind.PURCHASES)
    books.forget(*(sql.format(user.id) for sql, user in zip(planted.values(), users, strict=True)))
    run = books.run(RunKind.OBJECTS)
    assert {problem for check, problem, _ in problems(books, run) if check == "ledger"} >= planted.keys()
    assert (run.status, run.repaired) == (RunStatus.DONE, 0)  # a person has to decide


class TestDryRuns:
    def test_find_the_same_and_change_nothing(self, books: Books):
        user, purchase = paid(books)
        _, lost = paid(books)
        books.stripe.refund(purchase.payment_intent_id)
        books.forget(
            f"DELETE FROM stripe_requests WHERE subject_id = '{lost.id}'",
            f"DELETE FROM purchases WHERE id = '{lost.id}'",
        )
        trial = books.run(RunKind.OBJECTS, dry_run=True)
        assert {found.action for found in books.found(trial)} == {Action.REPAIRABLE}
        assert (trial.repaired, books.shop.credits(user)) == (3, Decimal(0))
        assert books.shop.fresh(purchase).status is PurchaseStatus.PENDING
        assert books.watermark(RunKind.OBJECTS) is None
        assert books.shop.scalar("SELECT count(*) FROM notifications") == 0
        assert books.run(RunKind.OBJECTS).repaired == 3


def test_runs_that_found_nothing_are_forgotten_after_a_while(books: Books):
    paid(books)
    quiet, told = books.run(RunKind.EVENTS, since=datetime.now(UTC) + timedelta(days=1)), books.run(RunKind.PURCHASES)
    books.forget("UPDATE reconciliation_runs SET created_at = now() - interval '91 days'")
    books.run(RunKind.OBJECTS)
    kept = books.shop.scalar("SELECT array_agg(id::text) FROM reconciliation_runs")
    assert str(told.id) in kept
    assert str(quiet.id) not in kept
