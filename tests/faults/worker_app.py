"""The worker of production with points to interfere at, started as `celery -A tests.faults.worker_app worker`.

Points, in the order in which a run passes them: claiming, loaded, announced, answered, result-committing,
result-committed, ending-committing, ending-committed, left; of the node `a` where there are several. `ringing` is
between a commit and its doorbell. A call of an address that ends with `/poison` ends the process, and with FAULT_CLOCK
the clock of the process jumps to and fro by so many seconds.
"""

import os
import random
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from celery.signals import worker_ready
from sqlalchemy.orm import Session

import tasks.queue
from celery_config import app
from models.rules.states import NodeStatus
from models.services import journal as records
from models.services import leases
from models.services.journal import Progress
from tests.faults.hooks import around, at
from workers.engine.driver import Driver
from workers.engine.journal import Journal
from workers.engine.runtime import Runtime
from workers.gateways.http import HttpGateway

__all__ = ["app"]

_perform, _record, _write = HttpGateway.perform, records.record, Journal.write


def has_result(progress: Progress) -> bool:
    """Whether it tells of the end of the call of `a`."""
    return any(row.status is NodeStatus.SUCCESS and row.step.node_id == "a" for row in progress.nodes)


def perform(self: HttpGateway, call: Any, **rest: Any) -> Any:
    """A node's call; its start is stored already, and its end is not yet."""
    if call.url.endswith("/poison"):
        os._exit(70)
    if not call.url.endswith("/a"):
        return _perform(self, call, **rest)
    at("announced")
    answer = _perform(self, call, **rest)
    at("answered")
    return answer


def record(session: Session, batch: Sequence[Progress]) -> Any:
    """In the transaction, before its commit."""
    result = _record(session, batch)
    if any(has_result(progress) for progress in batch):
        at("result-committing")
    if any(progress.ending for progress in batch):
        at("ending-committing")
    return result


def write(self: Journal, progress: Progress, on_written: Any) -> None:
    """After the commit, before the driver hears of it."""

    def told(error: Exception | None) -> None:
        if error is None and has_result(progress):
            at("result-committed")
        if error is None and progress.ending:
            at("ending-committed")
        on_written(error)

    _write(self, progress, told)


@worker_ready.connect(weak=False)
def disturb_the_clock(**_: Any) -> None:
    """Step the wall clock of this process to and fro, as a bad time server does; monotonic time goes on."""
    if not (span := float(os.environ.get("FAULT_CLOCK", 0))):
        return

    def step() -> None:
        while True:
            moment = datetime.now(UTC) + timedelta(seconds=random.choice((-span, span)))
            with time_machine.travel(moment, tick=True):
                time.sleep(0.2)

    threading.Thread(target=step, daemon=True).start()


HttpGateway.perform = perform
Journal.write = write
records.record = record
leases.claim = around(leases.claim, after="claiming")
Driver.run = around(Driver.run, before="loaded")
Runtime.drive = around(Runtime.drive, after="left")
tasks.queue.publish = around(tasks.queue.publish, before="ringing")
