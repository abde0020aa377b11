"""Manually changed rows of refunds and purchases are corrected by the next event, and no credits move twice."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.services.credits import ledger
from models.services.stripe import refunds
from models.tables import Purchase, Refund
from tests.models.services.stripe.test_refunds import balance, keys
from tests.support.factories import billing

BOTH = "UPDATE refunds SET amount_cents = {0}, counted_cents = {0}"


@pytest.fixture
def bought(session: Session) -> Purchase:
    """100 credits for 999 cents."""
    return billing.purchase(session, paid=True)


def change(session: Session, *statements: str) -> None:
    session.execute(text("SET LOCAL session_replication_role = replica"))  # past the ledger's triggers
    for statement in statements:
        session.execute(text(statement))
    session.execute(text("SET LOCAL session_replication_role = origin"))
    session.expire_all()


def follow(session: Session, refund: dict[str, Any]) -> Refund:
    """Twice, as two runs in a row do."""
    for _ in range(2):
        row = refunds.sync_refund(session, refund)
        assert row is not None
    return row


@pytest.mark.parametrize("cents", [9990, 1], ids=["enlarged", "shrunk"])
def test_a_refund_and_what_counts_of_it_are_put_right(session: Session, bought: Purchase, cents: int) -> None:
    refund = billing.refund(bought, 333)
    follow(session, refund)
    change(session, BOTH.format(cents))
    row = follow(session, refund)
    assert (row.amount_cents, row.counted_cents, balance(session, bought)) == (333, 333, Decimal("66.67"))
    assert keys(session, bought)[1:] == [f"re:{refund['id']}"]
    assert ledger.violations(session) == []


@pytest.mark.parametrize("cents", [9990, 1], ids=["enlarged", "shrunk"])
def test_one_that_was_not_applied_takes_its_share_when_it_succeeds(
    session: Session, bought: Purchase, cents: int
) -> None:
    refund = billing.refund(bought, 333, "pending")
    follow(session, refund)
    change(session, BOTH.format(cents))
    assert follow(session, refund).counted_cents == 0
    assert balance(session, bought) == 100
    change(session, BOTH.format(cents))
    assert follow(session, refund | {"status": "succeeded"}).counted_cents == 333
    assert balance(session, bought) == Decimal("66.67")
    assert keys(session, bought)[1:] == [f"re:{refund['id']}"]
    assert ledger.violations(session) == []


def test_one_that_failed_and_succeeds_again_takes_its_share_again(session: Session, bought: Purchase) -> None:
    refund = billing.refund(bought, 333)
    for status in ("succeeded", "failed"):
        follow(session, refund | {"status": status})
    change(session, BOTH.format(9990))
    follow(session, refund)
    key = f"re:{refund['id']}"
    assert keys(session, bought)[1:] == [key, f"{key}:failed", f"{key}:2"]
    assert ledger.violations(session) == []


@pytest.mark.parametrize("cents", [9990, 1], ids=["enlarged", "shrunk"])
def test_what_another_refund_took_by_the_wrong_sum_is_corrected(session: Session, bought: Purchase, cents: int) -> None:
    first, other = billing.refund(bought, 333), billing.refund(bought, 333)
    follow(session, first)
    change(session, BOTH.format(cents))
    follow(session, other)
    follow(session, first)
    assert balance(session, bought) == Decimal("33.33")
    assert ledger.violations(session) == []


@pytest.mark.parametrize("recorded", [0, 100])
def test_the_ledger_decides_when_the_purchase_disagrees(session: Session, bought: Purchase, recorded: int) -> None:
    refund = billing.refund(bought, 333)
    follow(session, refund)
    change(session, f"UPDATE purchases SET credits_taken = {recorded}", "UPDATE refunds SET counted_cents = 0")
    follow(session, refund)
    assert (balance(session, bought), bought.credits_taken) == (Decimal("66.67"), Decimal("33.33"))
    assert ledger.violations(session) == []


def test_a_movement_that_was_deleted_is_not_made_again(session: Session, bought: Purchase) -> None:
    """The wallet was debited, whatever became of the line that said so; a person has to decide."""
    refund = billing.refund(bought, 333)
    follow(session, refund)
    change(session, "DELETE FROM credit_transactions WHERE source = 'refund'", BOTH.format(9990))
    assert follow(session, refund).counted_cents == 333
    assert balance(session, bought) == Decimal("66.67")
    assert "taken_back_as_recorded" in {violation.invariant for violation in ledger.violations(session)}


def test_amounts_of_disputes_are_put_right_too(session: Session, bought: Purchase) -> None:
    dispute = billing.dispute(bought, amount=333)
    refunds.sync_dispute(session, dispute)
    change(session, "UPDATE disputes SET amount_cents = 9990, counted_cents = 9990")
    for _ in range(2):
        refunds.sync_dispute(session, dispute)
    assert balance(session, bought) == Decimal("66.67")
    assert keys(session, bought)[1:] == [f"dp:{dispute['id']}"]
    assert ledger.violations(session) == []
