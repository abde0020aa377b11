"""The ear of a worker process: a queue of its own, through the same connection as all others, and who listens to it."""

import os
import signal
import threading
import time
from typing import Any

from celery.apps.worker import Worker
from celery.signals import celeryd_after_setup, task_received, worker_ready, worker_shutdown
from celery.worker import state
from kombu import Exchange, Queue

from celery_config import broker, settings
from models.services.presence import Me
from tasks.lifecycle import LEAVING_SECONDS, calls_under_way, process_name
from tasks.queue import Doorbell, TaskName
from workers.presence import Ear

KEPT_SECONDS = 3600  # for which the queue of a worker that was killed stays
FIRST_SECONDS, LAST_SECONDS = 1.0, 4.0  # for the drivers to hear of it; after all that takes, the process is ended

_ears: list[Ear] = []  # of this process: none before it is set up, then one


@celeryd_after_setup.connect(weak=False)
def _set_up(instance: Worker, **_: Any) -> None:
    """The queues are chosen and nothing is consumed yet: add the one of this process."""
    consumed = instance.app.amqp.queues
    me = Me(instance.hostname, process_name(), sorted(consumed.consume_from), settings.presence_seconds)
    name = f"worker.{me.name}"
    own = Queue(name, Exchange("workers"), routing_key=name, auto_delete=True, expires=KEPT_SECONDS)
    consumed.select_add(own)
    echo = Doorbell(TaskName.ECHO, own)
    ear = Ear(
        me,
        echo=lambda: broker.ring(echo),
        full=lambda: len(state.reserved_requests) >= instance.concurrency,
        leave=_leave,
        calls=calls_under_way,
    )
    _ears.append(ear)


@worker_ready.connect(weak=False)
def _start(**_: Any) -> None:
    for ear in _ears:
        ear.start()


@task_received.connect(weak=False)
def _heard(**_: Any) -> None:
    for ear in _ears:
        ear.heard()


@worker_shutdown.connect(weak=False)
def _stop(**_: Any) -> None:
    for ear in _ears:
        ear.stop()


def _leave() -> None:
    """Hand everything over as at any shutdown, but do not wait for a connection that says nothing any more."""
    threading.Thread(target=_end, name="ending", daemon=True).start()
    os.kill(os.getpid(), signal.SIGTERM)


def _end() -> None:
    until = time.monotonic() + LEAVING_SECONDS + LAST_SECONDS
    time.sleep(FIRST_SECONDS)
    while state.active_requests and time.monotonic() < until:
        time.sleep(0.1)
    os._exit(1)  # by itself it would wait for the silent connection to be closed
