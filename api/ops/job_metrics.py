"""Metrics of jobs: the length and age of queues, the workers that consume them, and unresponsive workers."""

import time
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy.orm import Session

from models.services.executions import dead_letters
from models.services.notifications import push_receipts
from models.services.operations import backlog, thread_failures, worker_heartbeats
from models.services.operations.backlog import Waiting
from models.services.operations.worker_heartbeats import WorkersOverview, WorkerStatus
from models.services.schedules import due_times
from tasks.queue import QueueName


def jobs(session: Session, messages: Mapping[str, int]) -> Iterator[Metric]:
    """Return the job metrics; `messages` are queue lengths by queue."""
    yield from _queues(backlog.by_queue(session), messages)
    yield from _workers(worker_heartbeats.overview(session, QueueName))
    runs = GaugeMetricFamily(
        "agentforge_executions", "Executions that have started and not ended, by status.", labels=("status",)
    )
    for status, number in backlog.runs(session).items():
        runs.add_metric((status,), number)
    yield runs
    calls = GaugeMetricFamily(
        "agentforge_provider_calls",
        "Provider calls of all workers: allowed, under way and queued.",
        labels=("provider", "state"),
    )
    for (provider, state), number in worker_heartbeats.calls(session).items():
        calls.add_metric((provider, state), number)
    yield calls
    failures = CounterMetricFamily(
        "agentforge_thread_failures",
        "Uncaught exceptions in threads of all processes.",
        labels=("thread",),
    )
    for thread, number in thread_failures.counts(session).items():
        failures.add_metric((thread,), number)
    yield failures
    yield _pushes(push_receipts.counts(session))
    quarantined = dead_letters.count(session)
    yield GaugeMetricFamily(
        "agentforge_executions_quarantined", "Quarantined executions not yet retried.", value=quarantined
    )
    yield _late_schedules(due_times.oldest_overdue_seconds(session))


def _late_schedules(seconds: float) -> Metric:
    meaning = "Age of the oldest time of a schedule that was not handled."
    return GaugeMetricFamily("agentforge_schedules_overdue_seconds", meaning, value=seconds)


def _pushes(failed: Mapping[str, int]) -> Metric:
    pushes = CounterMetricFamily(
        "agentforge_push_failures", "Push messages whose receipts report an error.", labels=("error",)
    )
    for error, number in failed.items():
        pushes.add_metric((error,), number)
    return pushes


def _queues(waiting: Mapping[str, Waiting], messages: Mapping[str, int]) -> Iterator[Metric]:
    rows = GaugeMetricFamily("agentforge_queue_rows", "Rows waiting for a worker.", labels=("queue",))
    deferred = GaugeMetricFamily(
        "agentforge_queue_deferred", "Waiting executions deferred behind others of their owner.", labels=("queue",)
    )
    age = GaugeMetricFamily(
        "agentforge_queue_oldest_seconds", "Age of the oldest row waiting for a worker.", labels=("queue",)
    )
    for queue, found in waiting.items():
        rows.add_metric((queue,), found.rows)
        deferred.add_metric((queue,), found.deferred)
        age.add_metric((queue,), time.time() - found.oldest.timestamp() if found.oldest else 0.0)
    length = GaugeMetricFamily("agentforge_queue_messages", "Messages in the broker.", labels=("queue",))
    for queue, number in messages.items():
        length.add_metric((queue,), number)
    yield from (rows, deferred, age, length)


def _workers(seen: WorkersOverview) -> Iterator[Metric]:
    status = GaugeMetricFamily("agentforge_queue_workers", "Workers of a queue, by status.", labels=("queue", "status"))
    paused = GaugeMetricFamily("agentforge_queue_paused", "Whether an operator paused the queue.", labels=("queue",))
    probe_age = GaugeMetricFamily(
        "agentforge_queue_probe_age_seconds", "Seconds since the last probe went through a queue.", labels=("queue",)
    )
    for queue in seen.queues:
        status.add_metric((queue.name, WorkerStatus.UP), queue.workers)
        status.add_metric((queue.name, WorkerStatus.UNRESPONSIVE), queue.unresponsive)
        paused.add_metric((queue.name,), float(queue.is_paused))
        if queue.probe_seconds is not None:
            probe_age.add_metric((queue.name,), queue.probe_seconds)
    yield from (status, paused, probe_age)
    yield GaugeMetricFamily(
        "agentforge_workers_unresponsive",
        "Workers that are alive but receive no messages from the broker.",
        value=seen.unresponsive,
    )
    yield GaugeMetricFamily(
        "agentforge_beat_up",
        "Whether a queue probe from beat arrived in the last two minutes.",
        value=float(seen.beat_is_up),
    )
