"""Metrics for Prometheus: requests and their durations, the state of billing, and the state of jobs.

Requests are counted in memory or, if the API has several processes, in files that they share; the other metrics are
read from the database at each scrape.
"""

import time
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import TypeVar

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector
from sqlalchemy.exc import SQLAlchemyError

import threads
from api.ops.business_metrics import business
from api.ops.job_metrics import jobs
from metrics_server import MetricsServer, shared_metrics
from models.db import SessionFactory
from models.services.operations import alerts
from models.services.reconciliation import reconciliation
from models.services.stripe import stripe_events
from tasks.probes.broker import BrokerProbe

S = TypeVar("S", Counter, Histogram)

UNCOUNTED = frozenset(["health"])  # blueprints

REQUESTS = Counter("agentforge_requests", "Requests served.", ("method", "route", "status"))
SECONDS = Histogram(
    "agentforge_request_seconds",
    "Time to respond, without long polls and event streams.",
    ("method", "route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10),
)


def init_app(app: Flask) -> None:
    """Count every request except health checks."""

    @app.after_request
    def count(response: Response) -> Response:
        if request.blueprint not in UNCOUNTED:
            route = request.url_rule.rule if request.url_rule else "none"
            served = (request.method, route, response.status_code)
            _series(REQUESTS, *served).inc()
            if "wait" not in request.args and not response.is_streamed:
                _series(SECONDS, *served).observe(time.perf_counter() - g.get("started", time.perf_counter()))
        return response


@lru_cache(maxsize=2048)  # the library looks a series up under a lock
def _series(metric: S, method: str, route: str, status: int) -> S:
    return metric.labels(method, route, status)


def exposition(broker: BrokerProbe, directory: str) -> bytes:
    """All metrics in Prometheus's text format; `directory` has the shared files of several processes, if not empty."""
    threads.store_failures()  # the counts of this process that could not be stored before
    stored = CollectorRegistry()
    stored.register(DatabaseCollector(broker))
    if not directory:
        return generate_latest(REGISTRY) + generate_latest(stored)
    return shared_metrics(directory) + generate_latest(stored)


def serve(app: Flask) -> None:
    """Serve the metrics of `app` at the address in its settings; with port 0, serve none."""
    settings, broker = app.extensions["settings"], app.extensions["broker"]
    if settings.metrics_port:
        read = partial(exposition, broker, settings.metrics_directory)
        MetricsServer(settings.metrics_bind, settings.metrics_port, read, is_shared=True).start()


class DatabaseCollector(Collector):
    """Collects the metrics of the database and the broker; while the database is down, only `database_up`."""

    def __init__(self, broker: BrokerProbe) -> None:
        self._broker = broker

    def collect(self) -> Iterator[Metric]:
        """Read the metrics; the registry calls this at every scrape."""
        messages = self._broker.lengths()
        try:
            found = list(_database_metrics(messages))
        except SQLAlchemyError:
            found = []
        yield GaugeMetricFamily("agentforge_database_up", "Whether the database responds.", value=float(bool(found)))
        yield from found


def _database_metrics(messages: Mapping[str, int]) -> Iterator[Metric]:
    with SessionFactory() as session:
        yield from jobs(session, messages)
        yield from business(session)
        status = reconciliation.status(session)
        backlog = stripe_events.backlog(session)
        open_alerts = alerts.count_open(session)
    yield from _reconciliation(status)
    age = time.time() - backlog.oldest.timestamp() if backlog.oldest else 0.0
    yield GaugeMetricFamily("agentforge_stripe_events_waiting", "Stripe events not yet handled.", value=backlog.waiting)
    yield GaugeMetricFamily(
        "agentforge_stripe_events_oldest_seconds", "Age of the oldest Stripe event not yet handled.", value=age
    )
    yield GaugeMetricFamily(
        "agentforge_dead_letters", "Stripe events that are not retried any more.", value=backlog.dead
    )
    yield GaugeMetricFamily("agentforge_billing_alerts", "Open billing alerts.", value=open_alerts)


def _reconciliation(status: list[reconciliation.ReconciliationStatus]) -> Iterator[Metric]:
    findings = GaugeMetricFamily(
        "agentforge_reconciliation_findings",
        "Findings of all stored reconciliation runs.",
        labels=("kind", "check", "action"),
    )
    age = GaugeMetricFamily(
        "agentforge_reconciliation_age_seconds",
        "Seconds since the last complete reconciliation began.",
        labels=("kind",),
    )
    for one in status:
        for (check, action), number in one.findings.items():
            findings.add_metric((one.kind.value, check, action), number)
        if one.last_complete is not None:
            age.add_metric((one.kind.value,), time.time() - one.last_complete.timestamp())
    yield findings
    yield age
