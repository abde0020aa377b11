"""Ends runs that nobody drives and whose time is over: to be started, or to come to an end. Drivers end their own.

They are looked for together and ended one by one, each in a transaction of its own: whoever held rows of many families
and wallets at once would stand in the way of others, who lock them in another order.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, defer

from models.base import Json
from models.execution import Execution
from models.rules.deadlines import queued_too_long, run_timed_out
from models.rules.states import ExecutionStatus
from models.services import families, undriven

ABANDONED = timedelta(seconds=60)  # after its lease ran out: no worker is there who would end it in good order
_OVERDUE_AT = func.least(Execution.start_by, Execution.deadline_at)
_IS_OVERDUE = (
    Execution.finished_at.is_(None)
    & (func.now() >= _OVERDUE_AT)
    & or_(Execution.lease_expires_at.is_(None), Execution.lease_expires_at <= func.clock_timestamp() - ABANDONED)
)


def late(session: Session, *, limit: int = 200) -> Sequence[UUID]:
    """At most `limit` of them, the latest ones, parents before what they started; those that others hold are left."""
    rows = session.execute(
        select(Execution.id, Execution.depth)
        .where(_IS_OVERDUE)
        .order_by(_OVERDUE_AT)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [row.id for row in sorted(rows, key=lambda row: row.depth)]


def end(session: Session, execution_id: UUID) -> bool:
    """End a run, unless it got somewhere or was ended meanwhile: answers which."""
    families.lock(session, ending=[execution_id])
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
    if execution.lease_expires_at is None and undriven.leaves_turns(session, execution):
        undriven.leave_to_driver(session, execution)
        return
    if execution.cancel_requested_at:  # whoever was to stop it is gone
        undriven.end(session, execution, ExecutionStatus.CANCELLED, "Cancelled.")
        return
    error = _error(execution)
    undriven.end(session, execution, ExecutionStatus.FAILED, f"Failed: {error['message']}", error=error)


def _error(execution: Execution) -> dict[str, Json]:
    start_by, deadline = execution.start_by, execution.deadline_at
    if start_by and (deadline is None or start_by < deadline):
        return queued_too_long(start_by, deferred=execution.deferred_at is not None)
    return run_timed_out(deadline)
