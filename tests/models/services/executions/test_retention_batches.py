"""The history of runs goes in small batches, and neither a broken run nor a locked one stops them."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from models.db import session_scope
from models.services.credits import ledger
from models.services.executions import executions, retention
from models.tables import Execution, Receipt, WorkflowVersion
from tests.models.services.executions.test_retention import FREE, ended, left, owner, sweep


class TestOneThatCannotExpire:
    """It is logged and tried again in an hour, and does not block others."""

    def broken(self, session: Session, how: str) -> Execution:
        run = ended(session, days=FREE + 5)  # older than the others, so that each batch begins with it
        if how == "its receipt cannot be built":
            of = {"workflow_id": run.workflow_id, "number": 2, "name": "Odd"}
            odd = {"graph": {"nodes": 5}, "node_count": 0, "worst_case_credits": 0, "calls": [], "lint_errors": []}
            version = WorkflowVersion(**of, **odd)
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
        assert told == [("execution.expire_failed", str(bad.id))]

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

    def test_two_pruners_do_not_wait_for_each_other_or_repeat_work(self, committed_database: str) -> None:
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
            assert ledger.violations(session) == []

    def test_a_locked_run_is_left_for_the_next_time(self, committed_database: str) -> None:
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
