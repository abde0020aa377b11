"""Queues: their depth, and pausing them."""

import time
from collections.abc import Iterator
from typing import Any

import click
from sqlalchemy.orm import Session

from manage.deployment import operator, record, transaction
from manage.groups import ManageGroup, output
from models.services.operations import backlog, queue_pauses, worker_heartbeats
from models.services.operations.backlog import Waiting
from models.services.operations.worker_heartbeats import QueueState
from settings import process_settings
from tasks.probes.broker import BrokerProbe
from tasks.queue import QueueName

POLL_SECONDS = 1.0
NOTHING = Waiting(0, 0, None)


@click.group(cls=ManageGroup)
def queues() -> None:
    """Show, pause, drain and resume queues."""


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


@queues.command()
@click.argument("name", type=click.Choice([one.value for one in QueueName]))
def pause(name: str) -> None:
    """Let workers take nothing more from a queue, on every host, until `resume`; what was taken goes on."""
    with transaction() as session:
        changed = _pause(session, name)
    word = "is paused; workers notice with their next heartbeat" if changed else "was paused before"
    output().document({"queue": name, "paused": True}, f"{name} {word}.")


@queues.command()
@click.argument("name", type=click.Choice([one.value for one in QueueName]))
def resume(name: str) -> None:
    """Let workers consume a queue again."""
    with transaction() as session:
        changed = queue_pauses.resume(session, name)
        if changed:
            record(session, "queue.resumed", queue=name)
    output().document(
        {"queue": name, "paused": False}, f"{name} {'is consumed again' if changed else 'was not paused'}."
    )


@queues.command()
@click.argument("name", type=click.Choice([one.value for one in QueueName]))
@click.option("--timeout", type=click.FloatRange(0), default=600.0, show_default=True, help="Seconds to wait.")
def drain(name: str, timeout: float) -> None:
    """Pause a queue, and wait until workers have done what they took from it."""
    with transaction() as session:
        _pause(session, name)
    left = {"workers": 0, "rows": 0}
    with output().progress(_steps(timeout), f"Draining {name}", length=round(timeout)) as steps:
        for _ in steps:
            with transaction() as session:
                left = {
                    "workers": len(queue_pauses.unaware(session, name)),
                    "rows": queue_pauses.under_way(session, name),
                }
            if not any(left.values()):
                break
    document = {"queue": name, "paused": True, "drained": not any(left.values()), "underWay": left["rows"]}
    if any(left.values()):
        still = f"{left['rows']} are under way, and {left['workers']} workers have not noticed the pause."
        output().document(document, f"{name} is paused, but not drained: {still}")
        click.get_current_context().exit(1)
    output().document(document, f"{name} is paused, and nothing of it is under way.")


def _pause(session: Session, name: str) -> bool:
    changed = queue_pauses.pause(session, name, by=operator())
    if changed:
        record(session, "queue.paused", queue=name)
    return changed


def _steps(timeout: float) -> Iterator[float]:
    """Yield once at least, and then every second until `timeout` seconds are over."""
    until = time.monotonic() + timeout
    yield 0.0
    while time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        yield until - time.monotonic()
