"""What Prometheus is told of jobs: how many wait and how long, who takes them, and whether anybody is deaf."""

import time
from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.orm import Session

from models.services import backlog, presence, quarantine
from models.services.backlog import Waiting
from models.services.presence import Hearing, Presence
from tasks.queue import QueueName


def jobs(session: Session, messages: Mapping[str, int]) -> Iterator[Metric]:
    """All of it; `messages` are what the broker has, by queue."""
    yield from _queues(backlog.by_queue(session), messages)
    yield from _workers(presence.overview(session, QueueName))
    runs = GaugeMetricFamily(
        "agentforge_executions", "Runs that are not over, but for queued ones.", labels=("status",)
    )
    for status, number in backlog.runs(session).items():
        runs.add_metric((status,), number)
    yield runs
    calls = GaugeMetricFamily(
        "agentforge_provider_calls", "Calls that workers may have, have, or let wait.", labels=("provider", "state")
    )
    for (provider, state), number in presence.calls(session).items():
        calls.add_metric((provider, state), number)
    yield calls
    kept_apart = quarantine.count(session)
    yield GaugeMetricFamily("agentforge_executions_quarantined", "Runs that took their workers down.", value=kept_apart)


def _queues(waiting: Mapping[str, Waiting], messages: Mapping[str, int]) -> Iterator[Metric]:
    rows = GaugeMetricFamily("agentforge_queue_rows", "Rows that wait for a worker.", labels=("queue",))
    deferred = GaugeMetricFamily(
        "agentforge_queue_deferred", "Of them, runs that wait for another one of their owner's.", labels=("queue",)
    )
    age = GaugeMetricFamily(
        "agentforge_queue_oldest_seconds", "Age of the oldest row that waits for a worker.", labels=("queue",)
    )
    for queue, found in waiting.items():
        rows.add_metric((queue,), found.rows)
        deferred.add_metric((queue,), found.deferred)
        age.add_metric((queue,), time.time() - found.oldest.timestamp() if found.oldest else 0.0)
    length = GaugeMetricFamily("agentforge_queue_messages", "Doorbells that the broker has.", labels=("queue",))
    for queue, number in messages.items():
        length.add_metric((queue,), number)
    yield from (rows, deferred, age, length)


def _workers(seen: Presence) -> Iterator[Metric]:
    hearing = GaugeMetricFamily(
        "agentforge_queue_workers", "Workers that take from a queue, or are deaf.", labels=("queue", "status")
    )
    canary = GaugeMetricFamily(
        "agentforge_canary_age_seconds", "Since a job of beat's last went through a queue.", labels=("queue",)
    )
    for queue in seen.queues:
        hearing.add_metric((queue.name, Hearing.UP), queue.workers)
        hearing.add_metric((queue.name, Hearing.DEAF), queue.deaf)
        if queue.canary_seconds is not None:
            canary.add_metric((queue.name,), queue.canary_seconds)
    yield from (hearing, canary)
    yield GaugeMetricFamily(
        "agentforge_workers_deaf", "Workers that are alive and get nothing from the broker.", value=seen.deaf
    )
    yield GaugeMetricFamily(
        "agentforge_beat_up",
        "Whether anything that beat asked for was done in two minutes.",
        value=float(seen.beat_is_up),
    )
