"""Ends runs that nobody drives and whose time is over: to be started, or to come to an end. Drivers end their own."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, defer

from models.base import Json
from models.execution import Execution
from models.rules.deadlines import queued_too_long, run_timed_out
from models.rules.states import ExecutionStatus
from models.services import undriven

log = structlog.get_logger()

ABANDONED = timedelta(seconds=60)  # after its lease ran out: no worker is there who would end it in good order
_OVERDUE_AT = func.least(Execution.start_by, Execution.deadline_at)


def end_overdue(session: Session, *, limit: int = 200) -> Sequence[UUID]:
    """End at most `limit` of them, the latest ones first; answers which. Two sweeps at once end each run once.

    One that cannot be ended is logged, and keeps no other from its end.
    """
    rows = session.scalars(
        select(Execution)
        .options(defer(Execution.input, raiseload=True), defer(Execution.output, raiseload=True))
        .where(
            Execution.finished_at.is_(None),
            func.now() >= _OVERDUE_AT,
            or_(Execution.lease_expires_at.is_(None), Execution.lease_expires_at <= func.clock_timestamp() - ABANDONED),
        )
        .order_by(_OVERDUE_AT)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    return [execution.id for execution in sorted(rows, key=lambda row: row.depth) if _ended(session, execution)]


def _ended(session: Session, execution: Execution) -> bool:
    execution_id = execution.id
    try:
        with session.begin_nested():
            if execution.depth:  # perhaps stopped with its parent, just now
                session.refresh(execution, ["finished_at"])
            if execution.finished_at is None:
                _end(session, execution)
    except Exception:
        log.exception("execution.not_ended", execution_id=str(execution_id))
        return False
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
