"""The history of runs goes when its time is over, a little at once; receipts and the ledger stay."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import PLANS, Tier
from models.services.credits import ledger
from models.services.executions import executions, retention
from models.services.executions.executions import HistoryExpired
from models.services.executions.receipt_pages import receipt_page
from models.services.workflows import workflows
from models.tables import (
    UNDO_DELETION,
    CreditHold,
    Execution,
    ExecutionEvent,
    NodeExecution,
    QuarantinedRun,
    Receipt,
    User,
    Workflow,
)
from tests.support import factories

FREE = PLANS[Tier.FREE].history_days


def ended(
    session: Session,
    of: Workflow | None = None,
    *,
    days: float = FREE + 1,
    nodes: int = 2,
    charged: str = "1.10",
    **columns: Any,
) -> Execution:
    """A run that ended so long ago, with rows of `nodes` nodes."""
    at = datetime.now(UTC) - timedelta(days=days)
    values = {"status": ExecutionStatus.SUCCESS, "finished_at": at, "credits_charged": Decimal(charged)} | columns
    run = factories.execution(session, of, **values)
    for number in range(nodes):
        price = Decimal("0.10") if number == 0 else Decimal(0)
        factories.ran(session, run, "start", path=str(number), credits=price)
    return run


def child(session: Session, parent: Execution, **columns: Any) -> Execution:
    """A run that `parent` started."""
    step = {"parent_node_id": "start", "parent_path": "", "parent_attempt": 1}
    of = session.get_one(Workflow, parent.workflow_id)
    return ended(session, of, parent_execution_id=parent.id, depth=parent.depth + 1, **step | columns)


def sweep(session: Session) -> None:
    """As many batches as there are, once no deletion can be undone any more."""
    session.execute(update(Workflow).values(deleted_at=Workflow.deleted_at - UNDO_DELETION))
    while retention.hasten(session):
        pass
    while retention.expire(session):
        pass
    while retention.clear(session):
        pass


def left(session: Session, *runs: Execution) -> set[Any]:
    ids = [run.id for run in runs]
    return set(session.scalars(select(Execution.id).where(Execution.id.in_(ids))))


def owner(session: Session, run: Execution) -> User:
    return session.get_one(User, run.user_id)


@pytest.mark.parametrize("tier", Tier)
def test_a_run_is_kept_as_long_as_its_owners_tier_says(session: Session, tier: Tier) -> None:
    of = factories.workflow(session, factories.user(session, tier=tier))
    days = PLANS[tier].history_days
    old, young = ended(session, of, days=days + 0.1), ended(session, of, days=days - 0.1)
    sweep(session)
    assert left(session, old, young) == {young.id}


def test_runs_of_a_deleted_workflow_go_at_once_and_leave_their_receipts(session: Session) -> None:
    of = factories.workflow(session, factories.user(session, tier=Tier.ENTERPRISE))
    kept, looked_at = ended(session, of, days=1), ended(session, of, days=8)
    sweep(session)
    assert left(session, kept, looked_at) == {kept.id, looked_at.id}
    workflows.delete(session, owner(session, kept), of.id)
    sweep(session)
    assert left(session, kept, looked_at) == set()
    assert session.scalar(select(func.count()).select_from(Receipt)) == 2
    session.refresh(of)
    assert of.history_removed_at is not None


def test_a_run_of_a_deleted_workflow_goes_once_it_is_over(session: Session) -> None:
    of = factories.workflow(session)
    run = factories.execution(session, of, status=ExecutionStatus.RUNNING)
    workflows.delete(session, owner(session, run), of.id)
    sweep(session)
    assert left(session, run) == {run.id}
    run.status, run.finished_at = ExecutionStatus.SUCCESS, datetime.now(UTC)
    session.flush()
    ledger.settle(session, run.id, Decimal(0))
    sweep(session)
    assert left(session, run) == set()


def test_a_child_of_a_deleted_workflow_stays_as_long_as_its_parent(session: Session) -> None:
    parent = ended(session, days=1)
    of = factories.workflow(session, owner(session, parent))
    step = {"parent_node_id": "start", "parent_path": "", "parent_attempt": 1}
    run = ended(session, of, days=1, parent_execution_id=parent.id, depth=1, **step)
    workflows.delete(session, owner(session, run), of.id)
    sweep(session)
    assert left(session, run, parent) == {run.id, parent.id}


def test_a_higher_tier_keeps_what_is_still_there(session: Session) -> None:
    run = ended(session, factories.workflow(session, factories.user(session, tier=Tier.PREMIUM)), days=29.9)
    sweep(session)
    owner(session, run).subscription_tier = Tier.ENTERPRISE
    # Noted as kept until it is 30 days old; then its owner's tier counts as it is by then.
    session.execute(update(Execution).values(kept_until=func.now() - timedelta(seconds=1)))
    sweep(session)
    assert left(session, run) == {run.id}
    session.refresh(run)
    assert run.finished_at is not None
    assert run.kept_until == run.finished_at + timedelta(days=365)


@pytest.mark.parametrize("status", sorted(set(ExecutionStatus) - {"success", "failed", "cancelled"}))
def test_a_run_that_is_not_over_is_never_touched(session: Session, status: ExecutionStatus) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=1000)
    run = factories.execution(session, status=status, created_at=long_ago, started_at=long_ago, held=False)
    session.execute(update(Execution).values(kept_until=long_ago))
    sweep(session)
    assert left(session, run) == {run.id}
    assert session.scalar(select(func.count()).select_from(Receipt)) == 0


def test_the_receipt_stays_to_the_cent_with_the_ledger_and_nothing_else(session: Session) -> None:
    run = ended(session, nodes=3)
    before = executions.receipt(session, run)
    history = ledger.history(session, run.user_id)
    sweep(session)
    for table in (Execution, NodeExecution, ExecutionEvent):
        assert session.scalar(select(func.count()).select_from(table)) == 0
    found = receipt_page(session, owner(session, run), run.id)
    assert found.receipt == before
    assert (found.lines, found.lines_expired) == ([], True)
    assert ledger.history(session, run.user_id) == history
    assert session.get_one(CreditHold, run.id).captured == run.credits_charged
    assert ledger.violations(session) == []


def test_it_is_the_owners_alone_and_all_else_says_that_the_history_is_gone(session: Session) -> None:
    run = ended(session)
    mine, stranger = owner(session, run), factories.user(session)
    assert not receipt_page(session, mine, run.id).lines_expired
    retention.expire(session)  # from here on, before any row of it is removed
    for look in (executions.get, executions.get_locked, executions.logs, executions.request_cancel):
        with pytest.raises(HistoryExpired):
            look(session, mine, run.id)
        with pytest.raises(NotFound) as refused:
            look(session, stranger, run.id)
        assert refused.value.code == "not_found"
    assert executions.list_owned(session, mine) == []
    with pytest.raises(NotFound):
        receipt_page(session, stranger, run.id)


class TestWhatIsStillNeeded:
    def test_a_run_that_holds_credits(self, session: Session) -> None:
        run = ended(session)
        session.execute(update(CreditHold).values(status="held", captured=0, settled_at=None))
        sweep(session)
        assert left(session, run) == {run.id}

    def test_a_run_with_an_open_dead_letter(self, session: Session) -> None:
        run = ended(session)
        letter = QuarantinedRun(
            execution_id=run.id,
            user_id=run.user_id,
            workflow_name="W",
            reason="It did.",
            crashes=[],
            submitted_at=run.created_at,
        )
        session.add(letter)
        session.flush()
        sweep(session)
        assert left(session, run) == {run.id}
        letter.retried_as = run.id
        session.execute(update(Execution).values(kept_until=func.now() - timedelta(seconds=1)))
        sweep(session)
        assert left(session, run) == set()

    def test_a_parent_whose_grandchild_is_not_over(self, session: Session) -> None:
        parent = ended(session)
        middle = child(session, parent)
        last = child(session, middle, status=ExecutionStatus.CANCELLING, finished_at=None, credits_charged=Decimal(0))
        sweep(session)
        assert left(session, parent, middle, last) == {parent.id, middle.id, last.id}

    def test_a_child_goes_only_after_its_parent_whose_receipt_adds_it_up(self, session: Session) -> None:
        parent = ended(session, days=FREE - 0.1)
        grown = child(session, parent, days=FREE + 0.1, charged="0.50")
        sweep(session)
        assert left(session, parent, grown) == {parent.id, grown.id}
        at = datetime.now(UTC) - timedelta(days=FREE + 0.1)
        session.execute(update(Execution).values(finished_at=at, kept_until=func.now() - timedelta(seconds=1)))
        sweep(session)
        assert left(session, parent, grown) == {grown.id}
        session.execute(update(Execution).values(kept_until=func.now() - timedelta(seconds=1)))
        sweep(session)
        assert left(session, parent, grown) == set()
