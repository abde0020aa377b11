"""Periodic tasks: old rows are removed, a bounded number at once, and one failure does not stop the rest."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from models.base import Base
from models.db import session_scope
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.services.credits import ledger
from models.services.executions import executions, retention
from models.tables import DailyFigures, Execution, PasswordReset, Receipt, Workflow
from tasks import maintenance
from tasks.queue import TaskMessage
from tests.support import factories
from tests.support.database.slowly import slow_down, wait_until_changing

LONG_AGO = datetime.now(UTC) - timedelta(days=8)


def count(session: Session, table: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def finished_long_ago(session: Session, of: Workflow) -> Execution:
    past = {"finished_at": LONG_AGO, "credits_charged": Decimal("1.10")}
    return factories.execution(session, of, status=ExecutionStatus.FAILED, **past)


def test_history_goes_batch_by_batch_until_it_is_enough_for_once(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = factories.workflow(session, factories.user(session, credits=1000))
    more_than_a_batch = retention.RUNS + 2
    for _ in range(more_than_a_batch):
        finished_long_ago(session, of)
    with monkeypatch.context() as patched:
        patched.setattr(maintenance, "MAX_BATCHES", 1)
        maintenance.prune()
        assert (count(session, Receipt), count(session, Execution)) == (retention.RUNS, 2)
    maintenance.prune()
    assert (count(session, Receipt), count(session, Execution)) == (more_than_a_batch, 0)


def test_orphaned_holds_are_released(session: Session) -> None:
    user = factories.user(session, credits=10)
    run = executions.submit(session, user, factories.workflow(session, user, worst_case=3).id)
    session.execute(text("DELETE FROM execution_events WHERE execution_id = :id"), {"id": run.id})
    session.execute(text("DELETE FROM workflow_executions WHERE id = :id"), {"id": run.id})
    maintenance.prune()
    assert ledger.balance(session, user.id).available == 10


class TestAPartThatFails:
    """A table is not what it expects, as after a mistaken migration."""

    def test_of_the_pruner_is_logged_and_does_not_stop_the_others(self, session: Session) -> None:
        user = factories.user(session, created_at=LONG_AGO)
        finished_long_ago(session, factories.workflow(session, user))
        session.add(PasswordReset(email=user.email, created_at=LONG_AGO))
        session.flush()
        session.execute(text("ALTER TABLE quarantined_runs RENAME TO elsewhere"))  # whom `expire` asks
        session.execute(text("ALTER TABLE sessions RENAME TO elsewhere_too"))  # one of many that `prune` sweeps
        with pytest.raises(ExceptionGroup) as failure, capture_logs() as logs:
            maintenance.prune()
        assert [type(error) for error in failure.value.exceptions] == [ProgrammingError]
        assert [(entry["event"], entry["rule"]) for entry in logs] == [("prune.failed", "sessions")]
        assert count(session, PasswordReset) == 0
        assert count(session, DailyFigures) > 0

    def test_of_the_sweep_is_logged_and_does_not_stop_the_others(
        self, session: Session, sent: list[TaskMessage]
    ) -> None:
        late = factories.execution(session, created_at=LONG_AGO)
        session.execute(text("ALTER TABLE api_calls RENAME TO elsewhere"))  # who asks it wakes runs that wait for calls
        with pytest.raises(ExceptionGroup):
            maintenance.sweep()
        assert [message.ids["execution_id"] for message in sent] == [str(late.id)]

    def test_to_end_a_run_is_logged_and_does_not_stop_the_others(self, session: Session) -> None:
        stuck = factories.execution(session, deadline_at=LONG_AGO)
        late = factories.execution(session, deadline_at=LONG_AGO + timedelta(hours=1))
        stays = f"CHECK (id <> '{stuck.id}' OR status = 'queued')"
        session.execute(text(f"ALTER TABLE workflow_executions ADD CONSTRAINT stays {stays}"))
        with capture_logs() as logs:
            maintenance.sweep()
        failed = [entry["execution_id"] for entry in logs if entry["event"] == "execution.end_failed"]
        assert failed == [str(stuck.id)]
        assert [row.status for row in (stuck, late) if not session.refresh(row)] == ["queued", "failed"]


@pytest.mark.usefixtures("committed_database")
class TestTheSweepAndOthers:
    """Whoever ends runs at the same time locks rows and wallets in the same order, or holds one at a time."""

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """A sweep goes on meanwhile, which has just touched its first wallet; all of them answer slowly."""
        slow_down("credits")
        with ThreadPoolExecutor(1) as pool, capture_logs() as logs:
            swept = pool.submit(maintenance.sweep)
            wait_until_changing()
            yield
            swept.result()
        assert [entry for entry in logs if entry["event"] == "execution.end_failed"] == []

    def test_a_parent_is_cancelled_while_its_child_is_ended(self) -> None:
        with session_scope() as session:
            user = factories.user(session)
            of = factories.workflow(session, user)
            top = factories.execution(session, of, status=ExecutionStatus.WAITING)
            step = {"parent_execution_id": top.id, "parent_node_id": "s", "parent_path": "", "parent_attempt": 1}
            child = factories.execution(session, of, depth=1, start_by=LONG_AGO, **step)
            reference = {"type": "subworkflow", "childExecutionId": str(child.id)}
            factories.ran(session, top, "s", status=NodeStatus.WAITING, external_ref=reference)
        with self.sweeping(), session_scope() as session:
            executions.request_cancel(session, user, top.id)
        with session_scope() as session:
            ended = [session.get_one(Execution, run.id).status for run in (top, child)]
            assert ended == ["cancelled", "failed"]
            assert ledger.violations(session) == []

    def test_runs_of_two_owners_end_whose_others_are_ended(self) -> None:
        with session_scope() as session:
            first, second = sorted((factories.user(session) for _ in range(2)), key=lambda user: user.id)
            works = [factories.workflow(session, user) for user in (second, first)]
            late = [
                factories.execution(session, of, deadline_at=LONG_AGO + timedelta(hours=hour))
                for hour, of in enumerate(works)
            ]
            done = [factories.execution(session, of) for of in works]
        with self.sweeping(), session_scope() as session:
            assert len(ledger.settle_many(session, {run.id: Decimal(0) for run in done})) == 2
        with session_scope() as session:
            assert [session.get_one(Execution, run.id).status for run in late] == ["failed", "failed"]
