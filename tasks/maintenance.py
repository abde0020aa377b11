"""Periodic maintenance tasks, enqueued by beat.

They may run twice at a time or die half way without harm: rows are claimed, and effects have keys.
"""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import structlog
from celery import shared_task
from sqlalchemy.orm import Session

from models.db import session_scope
from models.services.accounts import data_exports, deletions, provider_keys
from models.services.credits import api_calls, orphaned_holds, storage
from models.services.executions import retention
from models.services.operations import analytics, pruning, worker_heartbeats
from models.services.orchestration import deadlines, redelivery
from models.services.schedules import due_times
from tasks.bootstrap import process_name, settings
from tasks.parts import in_transaction, run_each
from tasks.queue import TaskName, enqueue, enqueue_mails, enqueue_new_run, enqueue_run
from workers import exports, metrics

MAX_BATCHES = 40  # of one part in one task; a few seconds of work
SCHEDULES = 50  # in one batch, each in a transaction of its own

log = structlog.get_logger()


@shared_task(name=TaskName.SWEEP, send_events=False)
def sweep() -> None:
    """End runs past their deadline; enqueue runs that lost their message or driver, or that are due again."""
    run_each(_end_overdue, partial(in_transaction, api_calls.wake), partial(in_transaction, _enqueue))


@shared_task(name=TaskName.PRUNE, send_events=False)
def prune() -> None:
    """Remove expired data in batches; settle orphaned holds; measure changed storage; recount the analytics."""
    run_each(
        partial(_repeat, retention.hasten),
        partial(_repeat, deletions.erase),
        partial(_repeat, retention.expire),
        partial(_repeat, retention.clear),
        partial(in_transaction, pruning.prune),
        partial(in_transaction, orphaned_holds.settle),
        partial(in_transaction, storage.measure_wanted),
        partial(in_transaction, analytics.close_days),
        partial(in_transaction, analytics.recount),
    )


@shared_task(name=TaskName.START_SCHEDULED, send_events=False)
def start_scheduled() -> None:
    """Start the runs of schedules whose time has come; a failure is logged and does not keep the others from theirs."""
    last = None
    for _ in range(MAX_BATCHES):
        batch = in_transaction(partial(due_times.due, limit=SCHEDULES, after=last))
        for _, schedule_id in batch:
            try:
                in_transaction(partial(_start_scheduled, schedule_id=schedule_id))
            except Exception:
                log.exception("schedule.failed", schedule_id=str(schedule_id))
        if len(batch) < SCHEDULES:
            return
        last = batch[-1]


def _start_scheduled(session: Session, schedule_id: UUID) -> None:
    handled = due_times.handle(session, schedule_id, limits=settings.run_limits)
    if handled is None:
        return
    metrics.SCHEDULED.labels(handled.result).inc()
    if handled.execution is not None:
        enqueue_new_run(session, handled.execution)
    enqueue_mails(session, handled.notifications)


def _repeat(batch: Callable[[Session], int]) -> None:
    """Run batches, each in its own transaction, until one finds nothing or `MAX_BATCHES` are done."""
    for _ in range(MAX_BATCHES):
        if not in_transaction(batch):
            return


def _end_overdue() -> None:
    """End runs past their deadline; a failure is logged and does not keep the other runs from their end."""
    for execution_id in in_transaction(deadlines.late):
        try:
            if in_transaction(partial(deadlines.end, execution_id=execution_id)):
                metrics.OVERDUE.inc()
        except Exception:
            log.exception("execution.end_failed", execution_id=str(execution_id))


def _enqueue(session: Session) -> None:
    for run in (*redelivery.stalled(session), *redelivery.unclaimed_slots(session)):
        enqueue_run(session, run)
    for export_id in data_exports.due(session):
        enqueue(session, TaskName.BUILD_EXPORT, export_id=export_id)
    for key_id in provider_keys.due_tests(session):
        enqueue(session, TaskName.TEST_KEY, key_id=key_id)


@shared_task(name=TaskName.BUILD_EXPORT)
def build_export(export_id: str) -> None:
    """Build the export of a user's data. Safe to deliver twice: one worker claims the row."""
    messages = exports.build(UUID(export_id))
    with session_scope() as session:
        enqueue_mails(session, messages)


@shared_task(name=TaskName.QUEUE_PROBE, send_events=False)
def queue_probe(queue: str) -> None:
    """Record that `queue` is consumed."""
    with session_scope() as session:
        worker_heartbeats.record_probe(session, queue, process_name())


@shared_task(name=TaskName.ECHO, send_events=False)
def echo() -> None:
    """Do nothing: a worker sends this message to itself, and its arrival shows that the worker still consumes."""
