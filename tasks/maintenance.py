"""Sweeps that beat asks for.

Two beats, or a sweep that dies half way, do no harm: rows are claimed, and effects have keys.
"""

from collections.abc import Callable

from sqlalchemy.orm import Session

from celery_config import app
from models.db import session_scope
from models.services import api_calls, figures, overdue, presence, provider_keys, pruning, retention, storage, sweeps
from tasks.lifecycle import process_name
from tasks.queue import TaskName, enqueue

MOST_BATCHES = 40  # in one go; seconds of work


@app.task(name=TaskName.SWEEP)
def sweep() -> None:
    """End what is overdue; ring again for what lost its doorbell or its driver, or whose time has come."""
    with session_scope() as session:
        overdue.end_overdue(session)
    with session_scope() as session:
        api_calls.wake(session)
        for execution_id, priority in (*sweeps.due(session), *sweeps.forgotten_turns(session)):
            enqueue(session, TaskName.DRIVE_EXECUTION, priority=priority, execution_id=execution_id)
        for key_id in provider_keys.due_tests(session):
            enqueue(session, TaskName.TEST_KEY, key_id=key_id)


@app.task(name=TaskName.PRUNE)
def prune() -> None:
    """Remove batches of what has served its time; measure storage where something changed; add past days up."""
    for batch in (retention.expire, retention.clear):
        _repeat(batch)
    with session_scope() as session:
        pruning.prune(session)
    with session_scope() as session:
        storage.measure_wanted(session)
        figures.close_days(session)


def _repeat(batch: Callable[[Session], int]) -> None:
    """Do small batches, each in a transaction of its own, until nothing is left or it is enough for this time."""
    for _ in range(MOST_BATCHES):
        with session_scope() as session:
            done = batch(session)
        if not done:
            return


@app.task(name=TaskName.CANARY)
def canary(queue: str) -> None:
    """Prove that jobs come through `queue`."""
    with session_scope() as session:
        presence.sing(session, queue, process_name())


@app.task(name=TaskName.ECHO)
def echo() -> None:
    """What a worker sends to itself; that it arrives is all."""
