"""Every kind of corruption that we know, planted one by one: found, repaired or reported, and reported once."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from models.db import session_scope
from models.services.credits import ledger
from models.tables import Action, Purchase, RunKind, RunStatus, User
from tests.support.stripe.books import Books
from tests.support.stripe.corruptions import MENDED, PLANTED, TOLD
from tests.support.stripe.shop import CARD
from tests.support.thorough import sample


@dataclass
class Town:
    """Two users with everything that one may have, and books that agree with Stripe."""

    books: Books
    user: User
    other: User
    purchase: Purchase
    refunded: Purchase

    def plant(self, statements: str) -> None:
        names = {
            "user": self.user.id,
            "other": self.other.id,
            "purchase": self.purchase.id,
            "refunded": self.refunded.id,
            "intent": self.purchase.payment_intent_id,
        }
        self.books.forget(*(one.format(**names) for one in statements.split(";")))

    def findings(self) -> set[tuple[str, str, Action]]:
        run = self.books.run(RunKind.OBJECTS)
        assert (run.status, run.failed) == (RunStatus.DONE, 0)
        return {(found.check, found.problem, found.action) for found in self.books.found(run)}


def open_account(books: Books) -> tuple[User, Purchase, Purchase]:
    """A purchase, a purchase that was refunded in part, one that was disputed, a plan and a card."""
    shop = books.shop
    user = shop.user()
    bought, refunded, disputed = (shop.buys(user, "pack_500", card=CARD) for _ in range(3))
    books.stripe.refund(refunded.payment_intent_id, amount=2000)
    books.stripe.create_dispute(disputed.payment_intent_id)
    asked = shop.perform(shop.wants_plan(user, card=CARD))
    if secret := (asked.result or {}).get("clientSecret"):
        books.stripe.pay_intent(secret)
    return user, bought, refunded


@pytest.fixture
def town(books: Books) -> Town:
    user, bought, refunded = open_account(books)
    other, _, _ = open_account(books)
    books.run(RunKind.OBJECTS)
    return Town(books, user, other, books.shop.fresh(bought), books.shop.fresh(refunded))


def test_books_that_agree_have_no_findings(town: Town):
    assert town.findings() == set()
    town.books.shop.handle_all()
    assert town.findings() == set()


@pytest.mark.thorough
@pytest.mark.parametrize("name", sample(list(PLANTED), 5))
def test_it_is_found_and_a_second_run_has_nothing_to_say(town: Town, name: str):
    planted, expected = PLANTED[name]
    town.plant(planted)
    assert town.findings() >= expected
    assert town.findings() == set()


REVERSALS = {name: planted for name, (planted, _) in PLANTED.items() if name.startswith(("refund ", "dispute "))}


@pytest.mark.thorough
@pytest.mark.parametrize("name", sample(list(REVERSALS), 2))
def test_what_is_mended_of_a_refund_or_dispute_moves_no_credits(town: Town, name: str):
    shop = town.books.shop
    before = shop.credits(town.user), shop.keys(town.user)
    town.plant(REVERSALS[name])
    town.findings()
    assert (shop.credits(town.user), shop.keys(town.user)) == before
    with session_scope() as session:
        assert ledger.violations(session) == []


def test_what_a_refund_took_by_a_wrong_amount_is_corrected(town: Town):
    shop = town.books.shop
    before = shop.credits(town.user)
    town.plant("UPDATE purchases SET amount_cents = amount_cents * 10 WHERE id = '{purchase}'")
    town.books.stripe.refund(town.purchase.payment_intent_id, amount=2000)
    shop.handle_all("refund.created")
    assert before - shop.credits(town.user) == Decimal("27.51")
    assert town.findings() == {("payments", "different", MENDED), ("refunds", "different", MENDED)}
    assert before - shop.credits(town.user) == Decimal("275.07")
    assert town.findings() == set()


def test_a_purchase_refunded_beyond_its_sale_is_reported(town: Town):
    town.plant(
        "UPDATE purchases SET credits = credits * 10, credits_taken = 5000 WHERE id = '{refunded}';"
        "UPDATE refunds SET status = 'pending', counted_cents = 0 WHERE purchase_id = '{refunded}'"
    )
    assert ("payments", "package_differs", TOLD) in town.findings()
    assert town.findings() == set()


def test_an_unpaid_payment_marked_as_paid_is_reported(town: Town):
    """A forgery in which the purchase, its grant and the wallet agree."""
    town.user = town.books.shop.user()  # the others have an open dispute, and may buy nothing
    town.purchase = town.books.shop.buys(town.user, "pack_5000")
    town.plant(
        "UPDATE purchases SET status = 'succeeded', paid_at = now(), client_secret = NULL WHERE id = '{purchase}';"
        "UPDATE credits SET balance = balance + 6000, version = version + 1 WHERE user_id = '{user}';"
        "INSERT INTO credit_transactions"
        " (user_id, version, key, type, amount, balance_after, reason, source, purchase_id)"
        " SELECT user_id, version, 'pi:{intent}', 'credit', 6000, balance, 'Purchase', 'purchase', '{purchase}'"
        " FROM credits WHERE user_id = '{user}'"
    )
    assert town.findings() == {("payments", "paid_only_here", TOLD)}
    assert town.findings() == set()


def test_an_alert_is_closed_when_resolved_and_raised_again_on_return(town: Town):
    shop = town.books.shop
    town.plant("UPDATE credits SET balance = balance + 1000 WHERE user_id = '{user}'")
    town.findings()
    standing = "SELECT count(*) FROM billing_alerts WHERE kind = 'reconciliation' AND resolved_at IS NULL"
    assert shop.scalar(standing) == 1
    town.plant("UPDATE credits SET balance = balance - 1000 WHERE user_id = '{user}'")
    assert town.findings() == set()
    assert shop.scalar(standing) == 0
    town.plant("UPDATE credits SET balance = balance + 1000 WHERE user_id = '{user}'")
    assert town.findings() == {("ledger", "balance_is_sum_of_transactions", TOLD)}
    assert shop.scalar(standing) == 1


def test_a_resolved_finding_is_not_reported_again_while_unchanged(town: Town):
    town.plant("UPDATE purchases SET customer_id = 'cus_other' WHERE id = '{purchase}'")
    town.findings()
    town.plant("UPDATE billing_alerts SET resolved_at = now()")
    assert town.findings() == set()
    town.plant("UPDATE purchases SET customer_id = 'cus_another' WHERE id = '{purchase}'")
    assert town.findings() == {("payments", "customer_differs", TOLD)}  # it changed


def test_repeated_violations_of_one_invariant_are_reported_once(town: Town):
    town.plant("UPDATE credit_transactions SET balance_after = balance_after + 1 WHERE user_id = '{user}'")
    run = town.books.run(RunKind.OBJECTS)
    assert [found.problem for found in town.books.found(run)] == ["balance_after_is_running_sum"]
    town.plant("UPDATE credit_transactions SET balance_after = balance_after + 1 WHERE user_id = '{user}'")
    assert town.findings() == set()


def test_a_dry_run_reports_everything_each_time_without_alerts(town: Town):
    town.plant("UPDATE credits SET balance = balance + 1000 WHERE user_id = '{user}'")
    for _ in range(2):
        run = town.books.run(RunKind.OBJECTS, dry_run=True)
        assert [found.action for found in town.books.found(run)] == [TOLD]
    assert town.books.shop.scalar("SELECT count(*) FROM billing_alerts WHERE kind = 'reconciliation'") == 0
