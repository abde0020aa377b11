"""The audit of the ledger detects every kind of tampering."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.services.credits import ledger
from models.services.stripe import refunds
from tests.support import factories
from tests.support.factories import billing


@pytest.fixture
def books(session: Session) -> dict[str, Any]:
    """A user with a purchase, half of it refunded, a run that was charged and one that goes on."""
    user = billing.customer(session, credits=10)
    bought = billing.purchase(session, user, paid=True)
    refunds.sync_refund(session, refund := billing.refund(bought, 333))
    workflow = factories.workflow(session, user)
    done = factories.execution(session, workflow, cap=5, credits_charged=Decimal(3))
    ledger.settle(session, done.id, Decimal(3))
    session.execute(text("UPDATE workflow_executions SET status = 'failed', finished_at = now()"))
    running = factories.execution(session, workflow, cap=2)
    names = {"user": user.id, "purchase": bought.id, "run": done.id, "open": running.id}
    assert ledger.violations(session) == []
    return {**names, "intent": f"pi:{bought.payment_intent_id}", "refund": f"re:{refund['id']}"}


_FORGE = (
    "INSERT INTO credit_transactions (user_id, version, key, type, amount, balance_after, reason, source, purchase_id)"
)


_PAY_OUT = (
    "UPDATE credits SET balance = balance + 7, version = version + 1 WHERE user_id = :user; "
    f"{_FORGE} SELECT user_id, version, %s, 7, balance, 'x', %s FROM credits WHERE user_id = :user"
)


_TAIL = "(SELECT max(version) FROM credit_transactions WHERE user_id = :user)"


CORRUPTIONS: dict[str, tuple[str, set[str]]] = {
    "a balance that was changed": (
        "UPDATE credits SET balance = balance + 1 WHERE user_id = :user",
        {"balance_is_sum_of_transactions"},
    ),
    "a hold that the wallet forgot": (
        "UPDATE credits SET held = 0 WHERE user_id = :user",
        {"held_is_sum_of_open_holds"},
    ),
    "an amount that was changed": (
        "UPDATE credit_transactions SET amount = amount + 1 WHERE key = :intent",
        {"balance_is_sum_of_transactions", "balance_after_is_running_sum", "paid_purchase_has_its_grant"},
    ),
    "a transaction that was deleted": (
        "DELETE FROM credit_transactions WHERE key = :refund",
        {"version_counts_transactions", "history_has_no_gap", "taken_back_as_recorded"},
    ),
    "a last transaction that was deleted, and the balance set right": (
        f"UPDATE credits SET balance = balance + 3 WHERE user_id = :user; "
        f"DELETE FROM credit_transactions WHERE user_id = :user AND version = {_TAIL}",
        {"version_counts_transactions", "captured_hold_has_its_debit"},
    ),
    "a last transaction that was deleted without any other trace": (
        f"UPDATE credits SET balance = balance + 3, version = version - 1 WHERE user_id = :user; "
        f"DELETE FROM credit_transactions WHERE user_id = :user AND version = {_TAIL}",
        {"captured_hold_has_its_debit"},
    ),
    "a hold that was captured for less": (
        "UPDATE credit_holds SET captured = 1 WHERE execution_id = :run",
        {"captured_hold_has_its_debit", "captured_is_what_was_charged", "debit_has_its_captured_hold"},
    ),
    "a hold that was opened again": (
        "UPDATE credit_holds SET status = 'held', captured = 0, settled_at = NULL WHERE execution_id = :run",
        {"hold_is_open_while_running", "held_is_sum_of_open_holds", "debit_has_its_captured_hold"},
    ),
    "a purchase that was never paid": (
        "UPDATE purchases SET status = 'failed', paid_at = NULL, credits_taken = 0 WHERE id = :purchase",
        {"grant_has_its_paid_purchase", "taken_back_as_recorded"},
    ),
    "a purchase that was never granted": (
        "DELETE FROM credit_transactions WHERE key = :intent",
        {"paid_purchase_has_its_grant", "version_counts_transactions", "taken_back_within_grant"},
    ),
    "a grant under another key": (
        _PAY_OUT % ("'pi:none', 'credit'", "'purchase', NULL"),
        {"grant_has_its_paid_purchase"},
    ),
    "a second grant for one purchase": (
        _PAY_OUT % ("'pi:twin', 'credit'", "'purchase', :purchase"),
        {"purchase_is_granted_once", "grant_has_its_paid_purchase"},
    ),
    "a restitution that nobody asked for": (
        _PAY_OUT % ("'re:none:failed', 'credit'", "'refund', :purchase"),
        {"taken_back_as_recorded", "taken_back_for_a_known_reason"},
    ),
    "a refund that counts for nothing": (
        "UPDATE refunds SET counted_cents = 0 WHERE purchase_id = :purchase",
        {"reversal_counts_while_it_stands", "taken_back_is_the_share_returned"},
    ),
    "a refund that was taken for more than it is": (
        "UPDATE purchases SET credits_taken = 100 WHERE id = :purchase",
        {"taken_back_as_recorded", "taken_back_is_the_share_returned"},
    ),
    "a cap that was raised beyond its hold": (
        "UPDATE workflow_executions SET credits_cap = credits_cap + 1 WHERE id = :open",
        {"hold_is_the_cap"},
    ),
    "a node that nobody was charged for": (
        "INSERT INTO node_executions (execution_id, node_id, status, credits) VALUES (:run, 'n', 'success', 4)",
        {"charged_covers_the_nodes"},
    ),
    "a debit without its hold": (
        "DELETE FROM credit_holds WHERE execution_id = :run",
        {"debit_has_its_captured_hold"},
    ),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_it_notices(session: Session, books: dict[str, Any], name: str) -> None:
    statements, expected = CORRUPTIONS[name]
    session.execute(text("SET LOCAL session_replication_role = replica"))  # past every trigger and foreign key
    for statement in statements.split("; "):
        session.execute(text(statement), books)
    assert expected <= {violation.invariant for violation in ledger.violations(session)}


def test_it_notices_a_lost_wallet(session: Session) -> None:
    user = factories.user(session, credits=0)
    session.execute(text("DELETE FROM credits WHERE user_id = :user"), {"user": user.id})
    assert [(v.invariant, v.subject) for v in ledger.violations(session)] == [("user_has_a_wallet", user.id)]
