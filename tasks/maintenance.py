"""Sweeps that beat asks for.

Two beats, or a sweep that dies half way, do no harm: rows are claimed, and effects have keys.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy.orm import Session

from celery_config import app
from models.db import session_scope
from models.services import (
    api_calls,
    figures,
    overdue,
    presence,
    provider_keys,
    pruning,
    retention,
    storage,
    stray_holds,
    sweeps,
)
from tasks.lifecycle import process_name
from tasks.queue import TaskName, enqueue

MOST_BATCHES = 40  # in one go; seconds of work

T = TypeVar("T")
log = structlog.get_logger()


@app.task(name=TaskName.SWEEP)
def sweep() -> None:
    """End what is overdue; ring again for what lost its doorbell or its driver, or whose time has come."""
    _each(_end_overdue, partial(_batch, api_calls.wake), partial(_batch, _ring))


@app.task(name=TaskName.PRUNE)
def prune() -> None:
    """Remove batches of what has served its time; settle lost holds; measure changed storage; add the business up."""
    _each(
        partial(_repeat, retention.expire),
        partial(_repeat, retention.clear),
        partial(_batch, pruning.prune),
        partial(_batch, stray_holds.settle),
        partial(_batch, storage.measure_wanted),
        partial(_batch, figures.close_days),
        partial(_batch, figures.recount),
    )


def _each(*parts: Callable[[], object]) -> None:
    """Do every part, whatever becomes of the others; a task of which any part failed has failed, and says so."""
    failures = []
    for part in parts:
        try:
            part()
        except Exception as error:
            failures.append(error)
    if failures:
        raise ExceptionGroup("some parts failed, the others are done", failures)


def _batch(part: Callable[[Session], T]) -> T:
    with session_scope() as session:
        return part(session)


def _repeat(batch: Callable[[Session], int]) -> None:
    """Do small batches, each in a transaction of its own, until nothing is left or it is enough for this time."""
    for _ in range(MOST_BATCHES):
        if not _batch(batch):
            return


def _end_overdue() -> None:
    """One that cannot be ended is logged, and keeps no other from its end."""
    for execution_id in _batch(overdue.late):
        try:
            _batch(partial(overdue.end, execution_id=execution_id))
        except Exception:
            log.exception("execution.not_ended", execution_id=str(execution_id))


def _ring(session: Session) -> None:
    for execution_id, priority in (*sweeps.due(session), *sweeps.forgotten_turns(session)):
        enqueue(session, TaskName.DRIVE_EXECUTION, priority=priority, execution_id=execution_id)
    for key_id in provider_keys.due_tests(session):
        enqueue(session, TaskName.TEST_KEY, key_id=key_id)


@app.task(name=TaskName.CANARY)
def canary(queue: str) -> None:
    """Prove that jobs come through `queue`."""
    with session_scope() as session:
        presence.sing(session, queue, process_name())


@app.task(name=TaskName.ECHO)
def echo() -> None:
    """What a worker sends to itself; that it arrives is all."""
