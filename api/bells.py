"""Rings for runs that were just accepted."""

from api.session import db
from models.execution import Execution
from tasks.queue import TaskName, enqueue


def ring(execution: Execution) -> None:
    """Ring for a new run, unless another one of its owner's will."""
    if execution.deferred_at is None:
        enqueue(db(), TaskName.DRIVE_EXECUTION, priority=execution.priority, execution_id=execution.id)
