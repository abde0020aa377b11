"""Ends runs without a driver whose deadline to start or to end has passed. Drivers end their own runs.

The runs are selected together but ended one by one, each in its own transaction, because a transaction that locks many
trees and wallets could deadlock with others.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, defer

from models.rules.executions.deadlines import queued_too_long, run_timed_out
from models.rules.executions.states import ExecutionStatus
from models.serialization import Json
from models.services.orchestration import execution_tree, terminate
from models.tables import Execution

ABANDONED = timedelta(seconds=60)  # after a lease expired: until then, another worker may claim the run and end it
_OVERDUE_AT = func.least(Execution.start_by, Execution.deadline_at)
_IS_OVERDUE = (
    Execution.finished_at.is_(None)
    & (func.now() >= _OVERDUE_AT)
    & or_(Execution.lease_expires_at.is_(None), Execution.lease_expires_at <= func.clock_timestamp() - ABANDONED)
)


def late(session: Session, *, limit: int = 200) -> Sequence[UUID]:
    """At most `limit` runs past their deadline, the most overdue ones, parents before children; skips locked rows."""
    rows = session.execute(
        select(Execution.id, Execution.depth)
        .where(_IS_OVERDUE)
        .order_by(_OVERDUE_AT)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [row.id for row in sorted(rows, key=lambda row: row.depth)]


def end(session: Session, execution_id: UUID) -> bool:
    """End a run if it is still past its deadline and without a driver; returns whether it was."""
    execution_tree.lock(session, ending=[execution_id])
    execution = session.scalar(
        select(Execution)
        .options(defer(Execution.input, raiseload=True), defer(Execution.output, raiseload=True))
        .where(Execution.id == execution_id, _IS_OVERDUE)
        .execution_options(populate_existing=True)
    )
    if execution is None:
        return False
    _end(session, execution)
    return True


def _end(session: Session, execution: Execution) -> None:
    if execution.lease_expires_at is None and terminate.has_agent_turns(session, execution):
        terminate.leave_to_driver(session, execution)
        return
    if execution.cancel_requested_at:  # its driver vanished before it cancelled the run
        terminate.end(session, execution, ExecutionStatus.CANCELLED, "Cancelled.")
        return
    error = _error(execution)
    terminate.end(session, execution, ExecutionStatus.FAILED, f"Failed: {error['message']}", error=error)


def _error(execution: Execution) -> dict[str, Json]:
    start_by, deadline = execution.start_by, execution.deadline_at
    if start_by and (deadline is None or start_by < deadline):
        return queued_too_long(start_by, deferred=execution.deferred_at is not None)
    return run_timed_out(deadline)
