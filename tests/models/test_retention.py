"""The history of runs goes when its time is over, a little at once; receipts and the ledger stay."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from models.credit import CreditHold
from models.db import session_scope
from models.errors import NotFound
from models.execution import Execution, ExecutionEvent, NodeExecution
from models.quarantine import QuarantinedRun
from models.receipt import Receipt
from models.rules.pricing import PLANS, Tier
from models.rules.states import ExecutionStatus
from models.services import credits, executions, retention
from models.services.executions import HistoryExpired
from models.services.statements import statement
from models.user import User
from models.workflow import Workflow, WorkflowVersion
from tests import factories

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
    """As many batches as there are."""
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
    history = credits.history(session, run.user_id)
    sweep(session)
    for table in (Execution, NodeExecution, ExecutionEvent):
        assert session.scalar(select(func.count()).select_from(table)) == 0
    found = statement(session, owner(session, run), run.id)
    assert found.receipt == before
    assert (found.lines, found.lines_expired) == ([], True)
    assert credits.history(session, run.user_id) == history
    assert session.get_one(CreditHold, run.id).captured == run.credits_charged
    assert credits.violations(session) == []


def test_it_is_the_owners_alone_and_all_else_says_that_the_history_is_gone(session: Session) -> None:
    run = ended(session)
    mine, stranger = owner(session, run), factories.user(session)
    assert not statement(session, mine, run.id).lines_expired
    retention.expire(session)  # from here on, before any row of it is removed
    for look in (executions.get, executions.get_locked, executions.logs, executions.request_cancel):
        with pytest.raises(HistoryExpired):
            look(session, mine, run.id)
        with pytest.raises(NotFound) as refused:
            look(session, stranger, run.id)
        assert refused.value.code == "not_found"
    assert executions.list_owned(session, mine) == []
    with pytest.raises(NotFound):
        statement(session, stranger, run.id)


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


class TestOneThatCannotExpire:
    """It is told of, and looked at again in an hour; nobody waits for it."""

    def broken(self, session: Session, how: str) -> Execution:
        run = ended(session, days=FREE + 5)  # older than the others, so that each batch begins with it
        if how == "its receipt cannot be built":
            odd = {"graph": {"nodes": 5}, "node_count": 0, "worst_case_credits": 0, "calls": [], "lint_errors": []}
            version = WorkflowVersion(workflow_id=run.workflow_id, number=2, **odd)
            session.add(version)
            session.flush()
            run.version_id = version.id
        else:
            there = """
                INSERT INTO receipts SELECT id, user_id, workflow_id, workflow_name, status, nodes_executed,
                       credits_charged, created_at, started_at, finished_at, '{}'
                  FROM workflow_executions WHERE id = :id
            """
            session.execute(text(there), {"id": run.id})
        session.flush()
        return run

    @pytest.mark.parametrize("how", ["its receipt cannot be built", "its receipt cannot be written"])
    def test_keeps_no_other_from_it(self, session: Session, how: str) -> None:
        bad = self.broken(session, how)
        others = [ended(session) for _ in range(2)]
        with capture_logs() as logs:
            sweep(session)
        assert left(session, bad, *others) == {bad.id}
        session.refresh(bad)
        assert bad.expired_at is None
        assert bad.kept_until
        assert bad.kept_until - datetime.now(UTC) > timedelta(minutes=59)
        told = [(entry["event"], entry["execution_id"]) for entry in logs]
        assert told == [("execution.not_expired", str(bad.id))]

    def test_does_so_when_it_can(self, session: Session) -> None:
        run = self.broken(session, "its receipt cannot be written")
        sweep(session)
        session.execute(text("DELETE FROM receipts"))
        session.execute(update(Execution).values(kept_until=func.now() - timedelta(seconds=1)))
        sweep(session)
        assert left(session, run) == set()
        assert session.scalars(select(Receipt.execution_id)).all() == [run.id]


class TestLittleByLittle:
    def test_a_batch_takes_no_more_than_its_limit_the_oldest_first(self, session: Session) -> None:
        runs = [ended(session, days=days) for days in (9, 11, 10)]
        assert retention.expire(session, limit=2) == 2
        assert set(session.scalars(select(Receipt.execution_id))) == {runs[1].id, runs[2].id}

    def test_a_large_run_goes_in_many_small_statements(self, session: Session) -> None:
        run = ended(session, nodes=25)
        session.execute(
            text("""
                INSERT INTO execution_events (execution_id, seq, type, message)
                SELECT :run, i, 'node.started', 'Started.' FROM generate_series(2, 12) i
            """),
            {"run": run.id},
        )
        retention.expire(session)
        batches = list(iter(lambda: retention.clear(session, rows=10), 0))
        assert batches == [20, 2 + 10, 5 + 1]

    def test_two_brooms_neither_wait_for_each_other_nor_do_a_thing_twice(self, committed_database: str) -> None:
        with session_scope() as session:
            runs = [ended(session) for _ in range(4)]
        with session_scope() as one, session_scope() as two:
            two.execute(text("SET LOCAL lock_timeout = '2s'"))
            assert retention.expire(one, limit=3) == 3
            assert retention.expire(two) == 1
        with session_scope() as one, session_scope() as two:
            two.execute(text("SET LOCAL lock_timeout = '2s'"))
            assert retention.clear(one, runs=3) == 3 * 4
            assert retention.clear(two) == 4
        with session_scope() as session:
            assert left(session, *runs) == set()
            assert session.scalar(select(func.count()).select_from(Receipt)) == 4
            assert credits.violations(session) == []

    def test_a_run_that_somebody_works_with_is_left_for_the_next_time(self, committed_database: str) -> None:
        with session_scope() as session:
            run = ended(session)
            user = owner(session, run)
        with session_scope() as holder:
            executions.get_locked(holder, user, run.id)  # as a retry does
            with session_scope() as session:
                session.execute(text("SET LOCAL lock_timeout = '2s'"))
                assert retention.expire(session) == 0
        with session_scope() as session:
            assert retention.expire(session) == 1
