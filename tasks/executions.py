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
    left = runtime().drive(UUID(execution_id))
    if left is None:
        return  # another worker drives it, it is over, or its owner's other runs come first
    with session_scope() as session:
        following = sweeps.again if left is Left.HANDED_OVER else sweeps.turn_after
        if turn := following(session, UUID(execution_id)):
            enqueue(session, TaskName.DRIVE_EXECUTION, priority=turn[1], execution_id=turn[0])
