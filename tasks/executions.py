"""Drives executions. The message carries an id; the row says what must be done."""

from uuid import UUID

from celery_config import app
from models.db import session_scope
from models.services import sweeps
from tasks.lifecycle import runtime
from tasks.queue import TaskName, enqueue
from workers.engine.endings import Left


@app.task(name=TaskName.DRIVE_EXECUTION)
def drive_execution(execution_id: str) -> None:
    """Drive an execution as far as it goes now. Safe to deliver twice: one lease, fenced by its epoch."""
    call_others(UUID(execution_id), runtime().drive(UUID(execution_id)))


def call_others(execution_id: UUID, left: Left | None) -> None:
    """Ring for those who can go on now that this run was left so."""
    # Without a driver another worker drives it, its owner's other runs come first, or it is over, as one that was
    # cancelled is before anybody hears of it.
    find = {None: sweeps.woken_by, Left.HANDED_OVER: sweeps.again}.get(left, sweeps.following)
    with session_scope() as session:
        for run, priority in find(session, execution_id):
            enqueue(session, TaskName.DRIVE_EXECUTION, priority=priority, execution_id=run)
