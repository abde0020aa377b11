"""Queues: their depth."""

import time
from typing import Any

import click

from manage.deployment import transaction
from manage.groups import ManageGroup, output
from models.services.operations import backlog, worker_heartbeats
from models.services.operations.backlog import Waiting
from models.services.operations.worker_heartbeats import QueueState
from settings import process_settings
from tasks.probes.broker import BrokerProbe
from tasks.queue import QueueName

NOTHING = Waiting(0, 0, None)


@click.group(cls=ManageGroup)
def queues() -> None:
    """Show queues."""


@queues.command()
def depth() -> None:
    """Show the waiting rows and messages of each queue, the age of the oldest row, and its workers."""
    settings = process_settings()
    messages = BrokerProbe(settings.redis_url, settings.broker_url).lengths()
    with transaction() as session:
        waiting = backlog.by_queue(session)
        seen = worker_heartbeats.overview(session, QueueName)
    rows = [_row(queue, waiting.get(queue.name, NOTHING), messages.get(queue.name)) for queue in seen.queues]
    output().table(rows, empty="There are no queues.")


def _row(queue: QueueState, waiting: Waiting, messages: int | None) -> dict[str, Any]:
    return {
        "queue": queue.name,
        "status": queue.status,
        "rows": waiting.rows,
        "deferred": waiting.deferred,
        "messages": messages,
        "oldestSeconds": round(time.time() - waiting.oldest.timestamp()) if waiting.oldest else None,
        "workers": queue.workers,
        "probeSeconds": None if queue.probe_seconds is None else round(queue.probe_seconds),
    }
