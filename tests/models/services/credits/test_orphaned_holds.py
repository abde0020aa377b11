"""Credits that are held for a run come back even if the run is gone."""

from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.executions.states import ExecutionStatus
from models.services.credits import ledger, orphaned_holds
from models.services.executions import executions
from models.services.operations import alerts
from models.tables import Execution, HoldStatus, User
from tests.support import factories


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session, credits=10)


@pytest.fixture
def run(session: Session, owner: User) -> Execution:
    return executions.submit(session, owner, factories.workflow(session, owner, worst_case=3).id)


def over(session: Session, run: Execution, charged: str) -> None:
    """End it as no code of ours does: without a word to its hold."""
    values = {"id": run.id, "charged": charged, "status": ExecutionStatus.FAILED}
    session.execute(
        text("""
            UPDATE workflow_executions SET status = :status, finished_at = now(), credits_charged = :charged
             WHERE id = :id
        """),
        values,
    )


def gone(session: Session, run: Execution) -> None:
    for table in ("execution_events", "node_executions"):
        session.execute(text(f"DELETE FROM {table} WHERE execution_id = :id"), {"id": run.id})
    session.execute(text("DELETE FROM workflow_executions WHERE id = :id"), {"id": run.id})


def test_what_a_run_was_charged_is_captured_and_the_rest_is_free_again(session: Session, owner: User, run: Execution):
    over(session, run, "1.25")
    assert ledger.balance(session, owner.id).held == 3
    assert orphaned_holds.settle(session) == {run.id}
    wallet = ledger.balance(session, owner.id)
    assert (wallet.balance, wallet.held) == (Decimal("8.75"), 0)
    assert ledger.violations(session) == []


def test_the_hold_of_a_run_that_is_gone_is_released(session: Session, owner: User, run: Execution):
    gone(session, run)
    assert orphaned_holds.settle(session) == {run.id}
    assert ledger.balance(session, owner.id).available == 10


def test_operators_are_alerted_of_each_once(session: Session, owner: User, run: Execution):
    gone(session, run)
    orphaned_holds.settle(session)
    assert orphaned_holds.settle(session) == set()
    (alert,) = alerts.list_open(session)
    assert (alert.kind, alert.subject, alert.user_id) == ("orphaned_hold", str(run.id), owner.id)


def test_runs_that_are_under_way_keep_theirs(session: Session, run: Execution):
    assert orphaned_holds.settle(session) == set()
    assert factories.hold(session, run).status is HoldStatus.HELD
