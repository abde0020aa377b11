"""What Prometheus is told: how many requests were answered and how fast, where money's books stand, and how jobs are.

Requests are counted in each process's memory, or, when there are several processes, in files that they share; the rest
is read from the database when somebody asks.
"""

import time
from collections.abc import Iterator, Mapping

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector
from sqlalchemy.exc import SQLAlchemyError

from api.broker import Broker
from api.job_metrics import jobs
from models.db import SessionFactory
from models.services import alerts, billing_events, reconciliation

UNCOUNTED = frozenset(["health", "metrics"])  # blueprints

REQUESTS = Counter("agentforge_requests", "Requests answered.", ("method", "route", "status"))
SECONDS = Histogram(
    "agentforge_request_seconds",
    "Time to answer; long polls and event streams left out.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 5),
)


def init_app(app: Flask) -> None:
    """Count every request but those of machines that watch us."""

    @app.after_request
    def count(response: Response) -> Response:
        if request.blueprint not in UNCOUNTED:
            route = request.url_rule.rule if request.url_rule else "none"
            REQUESTS.labels(request.method, route, response.status_code).inc()
            if "wait" not in request.args and not response.is_streamed:
                SECONDS.observe(time.perf_counter() - g.get("started", time.perf_counter()))
        return response


def exposition(broker: Broker, directory: str) -> bytes:
    """All of it in Prometheus's text format; several processes count together in files in `directory`."""
    books = CollectorRegistry()
    books.register(Books(broker))
    if not directory:
        return generate_latest(REGISTRY) + generate_latest(books)
    counted = CollectorRegistry()
    MultiProcessCollector(counted, path=directory)
    return generate_latest(counted) + generate_latest(books)


class Books(Collector):
    """What the tables and the broker say; while the database is away, only that it is."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def collect(self) -> Iterator[Metric]:
        """Asked for at every scrape."""
        messages = self._broker.lengths()
        try:
            found = list(_books(messages))
        except SQLAlchemyError:
            found = []
        yield GaugeMetricFamily("agentforge_database_up", "Whether the database answers.", value=float(bool(found)))
        yield from found


def _books(messages: Mapping[str, int]) -> Iterator[Metric]:
    with SessionFactory() as session:
        yield from jobs(session, messages)
        standing = reconciliation.standing(session)
        backlog = billing_events.backlog(session)
        open_alerts = alerts.count_open(session)
    yield from _reconciliation(standing)
    age = time.time() - backlog.oldest.timestamp() if backlog.oldest else 0.0
    yield GaugeMetricFamily("agentforge_stripe_events_waiting", "Events not handled yet.", value=backlog.waiting)
    yield GaugeMetricFamily("agentforge_stripe_events_oldest_seconds", "Age of the oldest of them.", value=age)
    yield GaugeMetricFamily("agentforge_dead_letters", "Events that were given up.", value=backlog.dead)
    yield GaugeMetricFamily("agentforge_billing_alerts", "Alerts about money nobody resolved.", value=open_alerts)


def _reconciliation(standing: list[reconciliation.Standing]) -> Iterator[Metric]:
    findings = GaugeMetricFamily(
        "agentforge_reconciliation_findings",
        "What reconciliation found, of all runs that are kept.",
        labels=("kind", "check", "action"),
    )
    age = GaugeMetricFamily(
        "agentforge_reconciliation_age_seconds", "Since the last complete run began.", labels=("kind",)
    )
    for one in standing:
        for (check, action), number in one.findings.items():
            findings.add_metric((one.kind.value, check, action), number)
        if one.last_complete is not None:
            age.add_metric((one.kind.value,), time.time() - one.last_complete.timestamp())
    yield findings
    yield age
