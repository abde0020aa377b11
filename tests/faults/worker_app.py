"""The worker of production with points to interfere at, started as `celery -A tests.faults.worker_app worker`.

It dies before or after a write of any number (`writes`). Further points: `loaded`, before a driver begins; `ringing`,
between a commit and its doorbell; `stopping`, before a turn is stopped; `ward-starting`, before a worker starts a ward,
and `ward-started`, before that holds its run. Wards have the same points. A call of an address that ends with `/poison`
ends the process, one of `/late-poison` two seconds later. With FAULT_CLOCK the clock of the process jumps to and fro
by so many seconds.
"""

import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from celery.signals import worker_ready

import tasks.queue
from celery_config import app
from models.services import wards
from tests.faults.hooks import DIRECTORY, around
from tests.faults.writes import count_writes
from workers.engine.driver import Driver
from workers.engine.wards import Process
from workers.gateways.http import HttpGateway
from workers.gateways.openclaw_talk import Talk

__all__ = ["app"]

_perform = HttpGateway.perform


def perform(self: HttpGateway, call: Any, **rest: Any) -> Any:
    """A node's call; its start is stored already, and its end is not yet."""
    if call.url.endswith("poison"):
        time.sleep(2 if call.url.endswith("/late-poison") else 0)
        os._exit(70)
    return _perform(self, call, **rest)


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
Driver.run = around(Driver.run, before="loaded")
wards.adopt = around(wards.adopt, before="ward-started")
Process.__init__ = around(Process.__init__, before="ward-starting")
Talk.abort = around(Talk.abort, before="stopping")
tasks.queue.publish = around(tasks.queue.publish, before="ringing")
count_writes(DIRECTORY)
