"""The consumer probe of a worker process: a queue of its own, consumed over the same connection as its others."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from celery.apps.worker import Worker
from celery.signals import celeryd_after_setup, task_received, worker_ready, worker_shutdown
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu import Exchange, Queue

import threads
from models.services.operations.worker_heartbeats import WorkerInfo
from tasks.bootstrap import LEAVING_SECONDS, calls_under_way, process_name, settings
from tasks.queue import CONSUMED, TaskMessage, TaskName, publish
from variables import SettingsError
from workers.worker_heartbeat import ConsumerProbe

KEPT_SECONDS = 3600  # after which the broker drops the queue of a worker that was killed
FIRST_SECONDS, LAST_SECONDS = 1.0, 4.0  # for the shutdown to reach the drivers; on top of theirs, until the exit

_probes: list[ConsumerProbe] = []  # of this process: none before it is set up, then one


@celeryd_after_setup.connect(weak=False)
def _set_up(instance: Worker, **_: Any) -> None:
    """Add the queue of this process, once the others are chosen and before any is consumed."""
    consumed = instance.app.amqp.queues
    _refuse_others(set(consumed.consume_from))
    me = WorkerInfo(instance.hostname, process_name(), sorted(consumed.consume_from), settings.presence_seconds)
    name = f"worker.{me.name}"
    own = Queue(name, Exchange("workers"), routing_key=name, auto_delete=True, expires=KEPT_SECONDS)
    consumed.select_add(own)
    echo = TaskMessage(TaskName.ECHO, own)
    probe = ConsumerProbe(
        me,
        echo=lambda: publish(echo),
        full=lambda: len(state.reserved_requests) >= instance.concurrency,
        leave=_leave,
        calls=calls_under_way,
        pause=partial(_pause, instance, me.queues),
    )
    _probes.append(probe)


def _refuse_others(queues: set[str]) -> None:
    """Raise `SettingsError` for queues whose tasks need settings that the role of this process does not have."""
    if settings.role and (others := queues - CONSUMED.get(settings.role, frozenset())):
        raise SettingsError(f"A process of the role {settings.role} has no settings for {', '.join(sorted(others))}.")


def _pause(instance: Worker, mine: Sequence[str], paused: frozenset[str]) -> None:
    """Let the consumer's own thread stop or start consuming those of `mine` whose pause changed."""
    consumer = instance.consumer
    if consumer is not None:
        consumer.call_soon(_consume, consumer, {name: name not in paused for name in mine})


def _consume(consumer: Consumer, wanted: Mapping[str, bool]) -> None:
    """Consume the queues whose value is true, and no other of the named ones; also after a reconnect."""
    if consumer.task_consumer is None:  # it is reconnecting; the next heartbeat tries again
        return
    queues = consumer.app.amqp.queues
    for name, is_wanted in wanted.items():
        is_consumed = consumer.task_consumer.consuming_from(name)
        if is_wanted and not is_consumed:
            queues.select_add(queues[name])
            consumer.add_task_queue(name)
        elif is_consumed and not is_wanted:
            consumer.cancel_task_queue(name)


@worker_ready.connect(weak=False)
def _start(**_: Any) -> None:
    for probe in _probes:
        probe.start()


@task_received.connect(weak=False)
def _on_message(**_: Any) -> None:
    for probe in _probes:
        probe.record_echo()


@worker_shutdown.connect(weak=False)
def _stop(**_: Any) -> None:
    for probe in _probes:
        probe.stop()


def _leave() -> None:
    """Release everything as at any shutdown, but do not wait for a connection that no longer answers."""
    threads.run_once("ending", _end, ends_process=True)
    os.kill(os.getpid(), signal.SIGTERM)


def _end() -> None:
    until = time.monotonic() + LEAVING_SECONDS + LAST_SECONDS
    time.sleep(FIRST_SECONDS)
    while state.active_requests and time.monotonic() < until:
        time.sleep(0.1)
    os._exit(1)  # a normal exit would wait for the silent connection to close
