"""Tasks that drive executions. The message carries an id; the row holds the work to be done."""

from uuid import UUID

from celery import shared_task

from models.services.orchestration import redelivery
from tasks.bootstrap import runtime
from tasks.queue import TaskName, publish, run_message
from workers.engine.driver.outcomes import DriveResult


@shared_task(name=TaskName.DRIVE_EXECUTION)
def drive_execution(execution_id: str) -> None:
    """Drive an execution as far as it can go now. Safe to deliver twice: one lease, fenced by its epoch."""
    enqueue_next(UUID(execution_id), runtime().drive(UUID(execution_id)))


def enqueue_next(execution_id: UUID, left: DriveResult | None) -> None:
    """Enqueue the runs that can go on after a driver left this one; `left` is None if it was not driven."""
    # It is not driven when another worker has its lease, when other runs of its owner come first, or when it ended
    # before it was claimed, such as by a cancellation.
    find = {None: redelivery.woken_by, DriveResult.RELEASED: redelivery.requeue}.get(left, redelivery.next_after)
    for run in find(execution_id):
        publish(run_message(run))
