"""Money that goes back takes its share of the credits along, once, whatever comes first and however often."""

from decimal import Decimal

import pytest
from sqlalchemy.orm import Session

from models.errors import NotYet
from models.rules.stripe.billing import DISPUTE_TAKES, DISPUTE_TAKES_NOT, share
from models.services.credits import ledger
from models.services.operations import alerts
from models.services.stripe import invoices, purchases, refunds
from models.tables import Purchase
from tests.support import factories
from tests.support.factories import billing


def balance(session: Session, purchase: Purchase) -> Decimal:
    return ledger.balance(session, purchase.user_id).balance


def keys(session: Session, purchase: Purchase) -> list[str]:
    """The keys of the user's ledger entries, the oldest first."""
    return [move.key for move in reversed(ledger.history(session, purchase.user_id))]


class TestTheShare:
    @pytest.mark.parametrize(
        ("cents", "credits_taken"), [(0, "0"), (999, "100"), (5000, "100"), (1, "0.10"), (333, "33.33"), (500, "50.05")]
    )
    def test_is_proportional_and_never_more_than_was_granted(self, cents: int, credits_taken: str) -> None:
        assert share(Decimal(100), cents, 999) == Decimal(credits_taken)

    def test_of_all_parts_together_is_the_whole(self, session: Session) -> None:
        paid = billing.purchase(session, package="pack_500", paid=True)
        for cents in (1, 998, 3000):
            refunds.sync_refund(session, billing.refund(paid, cents))
        assert balance(session, paid) == 0
        assert ledger.violations(session) == []


class TestRefund:
    def test_takes_back_even_what_was_spent(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        user = session.get_one(factories.User, paid.user_id)
        run = factories.execution(session, factories.workflow(session, user), cap=80)
        refunds.sync_refund(session, billing.refund(paid))
        wallet = ledger.balance(session, user.id)
        assert (wallet.balance, wallet.held, wallet.available) == (0, 80, -80)
        with pytest.raises(ledger.InsufficientCredits):
            factories.execution(session, factories.workflow(session, user), cap=1)
        assert ledger.settle(session, run.id, Decimal(80))
        assert balance(session, paid) == -80

    def test_twice_takes_once(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        refund = billing.refund(paid, 333)
        for _ in range(3):
            refunds.sync_refund(session, refund)
        assert balance(session, paid) == Decimal("66.67")
        assert keys(session, paid)[1:] == [f"re:{refund['id']}"]

    @pytest.mark.parametrize("status", ["pending", "requires_action", "failed", "canceled"])
    def test_that_did_not_succeed_takes_nothing(self, session: Session, status: str) -> None:
        paid = billing.purchase(session, paid=True)
        refunds.sync_refund(session, billing.refund(paid, status=status))
        assert balance(session, paid) == 100
        assert ledger.violations(session) == []

    def test_that_fails_after_all_gives_back(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        refund = billing.refund(paid)
        for status in ("succeeded", "failed", "failed"):
            refunds.sync_refund(session, refund | {"status": status})
        assert balance(session, paid) == 100
        assert keys(session, paid)[1:] == [f"re:{refund['id']}", f"re:{refund['id']}:failed"]
        assert ledger.violations(session) == []

    def test_that_fails_calls_a_person_once_and_says_why(self, session: Session) -> None:
        """The bank rejected it: an operator has to return the money in another way."""
        paid = billing.purchase(session, paid=True)
        failed = billing.refund(paid, status="failed", failure_reason="expired_or_canceled_card")
        for _ in range(2):
            refunds.sync_refund(session, failed)
        [alert] = alerts.list_open(session)
        assert (alert.kind, alert.subject, alert.user_id) == ("refund_failed", failed["id"], paid.user_id)
        assert "failed (expired_or_canceled_card)" in alert.detail

    def test_before_its_payment_was_synced_is_taken_with_the_grant(self, session: Session) -> None:
        row = billing.purchase(session)
        purchases.sync_intent(session, billing.intent(session, row, "processing"))
        refund = billing.refund(row, 333)
        refunds.sync_refund(session, refund)
        assert keys(session, row) == []
        purchases.sync_intent(session, billing.intent(session, row))
        assert balance(session, row) == Decimal("66.67")
        assert ledger.violations(session) == []

    def test_of_a_purchase_that_is_not_known_by_its_intent_waits(self, session: Session) -> None:
        row = billing.purchase(session)
        refund = billing.refund(row)
        with pytest.raises(NotYet):
            refunds.sync_refund(session, refund)
        intent = billing.intent(session, row)
        with pytest.raises(NotYet):
            refunds.sync_refund(session, refund, intent=intent)
        purchases.sync_intent(session, intent)
        assert refunds.sync_refund(session, refund, intent=intent) is not None
        assert balance(session, row) == 0

    def test_of_a_subscription_takes_nothing(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        user = session.get_one(factories.User, paid.user_id)
        of_invoice = billing.refund(paid, payment_intent="pi_of_an_invoice")
        with pytest.raises(NotYet):
            refunds.sync_refund(session, of_invoice)
        assert refunds.sync_refund(session, of_invoice, intent={"id": "pi_of_an_invoice", "metadata": {}}) is None
        paying = {"data": [{"payment": {"payment_intent": "pi_of_an_invoice"}}]}
        invoices.sync_invoice(session, billing.invoice(session, user, payments=paying))
        assert refunds.sync_refund(session, of_invoice) is None
        assert refunds.sync_refund(session, billing.refund(paid, payment_intent=None)) is None
        assert balance(session, paid) == 100

    @pytest.mark.parametrize(("before", "left"), [("pending", 100), ("succeeded", 0), ("failed", 100)])
    def test_an_unknown_status_changes_nothing_and_alerts_an_operator(
        self, session: Session, before: str, left: int
    ) -> None:
        paid = billing.purchase(session, paid=True)
        refund = billing.refund(paid)
        for status in (before, "dreaming"):
            refunds.sync_refund(session, refund | {"status": status})
        assert balance(session, paid) == left
        assert {alert.kind for alert in alerts.list_open(session)} - {"refund_failed"} == {"unknown_status"}
        assert ledger.violations(session) == []


class TestDispute:
    @pytest.mark.parametrize("status", sorted(DISPUTE_TAKES))
    def test_takes_while_the_money_is_away(self, session: Session, status: str) -> None:
        paid = billing.purchase(session, paid=True)
        refunds.sync_dispute(session, billing.dispute(paid, status))
        assert balance(session, paid) == 0

    @pytest.mark.parametrize("status", sorted(DISPUTE_TAKES_NOT))
    def test_takes_nothing_while_it_is_an_inquiry_or_was_won(self, session: Session, status: str) -> None:
        paid = billing.purchase(session, paid=True)
        refunds.sync_dispute(session, billing.dispute(paid, status))
        assert balance(session, paid) == 100

    @pytest.mark.parametrize(
        ("story", "left", "moves"),
        [
            ("warning_needs_response needs_response lost", 0, [""]),
            ("needs_response under_review won", 100, ["", ":won"]),
            ("needs_response lost appeal_under_review won", 100, ["", ":won"]),
            ("needs_response won needs_response lost", 0, ["", ":won", ":2"]),
            ("needs_response won lost won", 100, ["", ":won", ":2", ":won:2"]),
            ("warning_under_review warning_closed", 100, []),
        ],
    )
    def test_moves_credits_with_the_money(self, session: Session, story: str, left: int, moves: list[str]) -> None:
        paid = billing.purchase(session, paid=True)
        dispute = billing.dispute(paid)
        for status in story.split():
            for _ in range(2):
                refunds.sync_dispute(session, dispute | {"status": status})
        assert balance(session, paid) == left
        assert keys(session, paid)[1:] == [f"dp:{dispute['id']}{move}" for move in moves]
        assert ledger.violations(session) == []

    def test_an_unknown_status_changes_nothing_and_alerts_an_operator(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        dispute = billing.dispute(paid)
        refunds.sync_dispute(session, dispute)
        refunds.sync_dispute(session, dispute | {"status": "dreaming"})
        assert balance(session, paid) == 0
        assert [alert.kind for alert in alerts.list_open(session)] == ["unknown_status"]
        assert ledger.violations(session) == []

    def test_over_another_amount_than_at_first_takes_the_difference(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        dispute = billing.dispute(paid, amount=333)
        for amount, left in ((333, "66.67"), (999, "0"), (500, "49.95")):
            refunds.sync_dispute(session, dispute | {"amount": amount})
            assert balance(session, paid) == Decimal(left)
            assert ledger.violations(session) == []

    def test_and_refund_of_one_payment_never_take_it_twice(self, session: Session) -> None:
        paid = billing.purchase(session, paid=True)
        dispute, refund = billing.dispute(paid), billing.refund(paid)
        refunds.sync_refund(session, refund)
        refunds.sync_dispute(session, dispute)
        assert balance(session, paid) == 0
        refunds.sync_dispute(session, dispute | {"status": "won"})
        assert balance(session, paid) == 0
        refunds.sync_refund(session, refund | {"status": "failed"})
        assert balance(session, paid) == 100
        assert ledger.violations(session) == []
