"""Serves the metrics of a worker or of beat: what it counted, its memory and connections, and nothing of the tables.

So the numbers of all processes and machines can be summed. The API serves what is the same for all (`api/ops`).
"""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

from celery.signals import after_task_publish, beat_init, task_postrun, task_prerun, worker_init
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.pool import QueuePool

import threads
from metrics_server import MetricsServer, shared_metrics
from models.db import SessionFactory
from settings import process_settings

TASK_SECONDS = Histogram(
    "agentforge_task_seconds",
    "Time that tasks took, by how they ended.",
    ("task", "state"),
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800),
)
SENT = Counter("agentforge_beat_messages", "Messages that beat sent.", ("task",))

_begun = threading.local()


class ProcessState(Collector):
    """Collects what is now in this process: connections to the database, and failures of threads until now."""

    def collect(self) -> Iterator[Metric]:
        """Read the state; the registry calls this at every scrape."""
        failures = CounterMetricFamily(
            "agentforge_process_thread_failures", "Uncaught exceptions in threads of this process.", labels=("thread",)
        )
        for thread, number in threads.counted.copy().items():
            failures.add_metric((thread,), number)
        yield failures
        engine = SessionFactory.kw.get("bind")
        if engine is not None and isinstance(engine.pool, QueuePool):
            connections = GaugeMetricFamily(
                "agentforge_database_connections", "Open connections of this process.", labels=("state",)
            )
            connections.add_metric(("in_use",), engine.pool.checkedout())
            connections.add_metric(("idle",), engine.pool.checkedin())
            yield connections


def exposition() -> bytes:
    """All metrics of this process in Prometheus's text format, with the counts of its isolated processes."""
    own = CollectorRegistry()
    ProcessCollector(registry=own)
    own.register(ProcessState())
    return shared_metrics(os.environ["PROMETHEUS_MULTIPROC_DIR"]) + generate_latest(own)


@worker_init.connect(weak=False)
@beat_init.connect(weak=False)
def _serve(**_: Any) -> None:
    settings = process_settings()
    MetricsServer(settings.metrics_bind, settings.worker_metrics_port, exposition).start()


@beat_init.connect(weak=False)
def _count_messages(**_: Any) -> None:
    after_task_publish.connect(_count_message, weak=False)


def _count_message(sender: str, **_: Any) -> None:
    SENT.labels(sender).inc()


@task_prerun.connect(weak=False)
def _begin(**_: Any) -> None:
    _begun.at = time.perf_counter()


@task_postrun.connect(weak=False)
def _end(task: Any, state: str | None, **_: Any) -> None:
    TASK_SECONDS.labels(task.name, (state or "unknown").lower()).observe(time.perf_counter() - _begun.at)
