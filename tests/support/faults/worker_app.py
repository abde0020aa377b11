"""The worker of production with hooks for faults, started as `celery -A tests.support.faults.worker_app worker`.

It can die before or after any numbered write (`writes`). Further hooks: `loaded`, before a driver begins; `storing`,
before a driver's batch is stored; `publishing`, between a commit and its message; `schedule-claimed` and
`schedule-submitted`, before and after the run of a schedule is submitted; `stopping`, before a turn is stopped;
`isolation-starting`, before a worker starts an isolated process, and `isolation-started`, before that holds its run;
`thread-NAME`, in the thread of that name. Isolated processes have the same hooks. A call of a URL that ends with
`/poison` ends the process, one of `/late-poison` two seconds later. With FAULT_CLOCK the clock of the process jumps
back and forth by so many seconds.
"""

import asyncio
import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
import time_machine
from celery.signals import worker_ready

import tasks.queue
from celery_config import app
from models.services.orchestration import isolated_runs
from models.services.schedules import due_times
from tests.support.faults.hooks import DIRECTORY, around, in_thread
from tests.support.faults.writes import count_writes
from workers.engine.attempts.limit_sharing import LimitSharing
from workers.engine.attempts.limiter import AdaptiveLimiter
from workers.engine.driver.driver import ExecutionDriver
from workers.engine.journal import writer
from workers.engine.journal.writer import JournalWriter
from workers.engine.process.isolation import Subprocess
from workers.engine.process.lease_heartbeat import LeaseHeartbeat
from workers.gateways.base import Deadline
from workers.gateways.http.client import HttpGateway
from workers.gateways.openclaw.connection import GatewayConnection
from workers.gateways.openclaw.session import TurnSession
from workers.worker_heartbeat import ConsumerProbe

__all__ = ["app"]

_perform = HttpGateway._perform


async def perform(self: HttpGateway, call: Any, *rest: Any) -> Any:
    """Perform a node's call, with hooks; its end is not stored, and its start only if it must be."""
    if call.url.endswith("poison"):
        await asyncio.sleep(2 if call.url.endswith("/late-poison") else 0)
        os._exit(70)
    return await _perform(self, call, *rest)


@worker_ready.connect(weak=False)
def disturb_the_clock(**_: Any) -> None:
    """Step this process's wall clock back and forth, as a faulty time server does; monotonic time goes on."""
    if not (span := float(os.environ.get("FAULT_CLOCK", 0))):
        return

    def step() -> None:
        while True:
            moment = datetime.now(UTC) + timedelta(seconds=random.choice((-span, span)))
            with time_machine.travel(moment, tick=True):
                time.sleep(0.2)

    threading.Thread(target=step, daemon=True).start()


HttpGateway._perform = perform
writer._record = around(writer._record, before="storing")
ExecutionDriver.run = around(ExecutionDriver.run, before="loaded")
isolated_runs.transfer_lease = around(isolated_runs.transfer_lease, before="isolation-started")
Subprocess.__init__ = around(Subprocess.__init__, before="isolation-starting")
ConsumerProbe._is_unresponsive = in_thread("consumer-probe", ConsumerProbe._is_unresponsive)
LeaseHeartbeat._snapshot = in_thread("lease-heartbeat", LeaseHeartbeat._snapshot)
JournalWriter._write_batch = in_thread("journal", JournalWriter._write_batch)
AdaptiveLimiter._start = in_thread("limiter", AdaptiveLimiter._start)
LimitSharing.share = in_thread("limits", LimitSharing.share)
asyncio.BaseEventLoop._run_once = in_thread("calls", asyncio.BaseEventLoop._run_once)
Deadline.passed = property(in_thread("deadlines", Deadline.passed.fget))
GatewayConnection._hand_out = in_thread("openclaw-reader", GatewayConnection._hand_out)
redis.Redis.publish = in_thread("change-publisher", redis.Redis.publish)
TurnSession.abort = around(TurnSession.abort, before="stopping")
due_times._submit = around(due_times._submit, before="schedule-claimed", after="schedule-submitted")
tasks.queue.publish = around(tasks.queue.publish, before="publishing")
count_writes(DIRECTORY)
