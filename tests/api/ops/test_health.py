"""Health checks report the state of dependencies."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from api import create_app
from api.ops.health_parts import LastResponses
from models.db import SessionFactory
from models.services.operations import worker_heartbeats
from models.services.operations.worker_heartbeats import WorkerInfo
from models.services.stripe import stripe_requests
from models.tables import RequestKind
from tasks.queue import QueueName
from tests.support import factories
from tests.support.factories import billing

CLOSED = "redis://127.0.0.1:1/0"
QUEUES = [queue.value for queue in QueueName]


@pytest.fixture
def at_work(session):
    """A worker for every queue, and a beat."""
    worker_heartbeats.report(session, WorkerInfo("one@host", "host:1", QUEUES, 15), silent=0, full=False)
    for queue in QUEUES:
        worker_heartbeats.record_probe(session, queue, "host:1")
    session.commit()


def test_everything_is_up(stranger, at_work):
    answer = stranger.get("/api/health")
    assert answer.status_code == 200
    queues, parts = answer.json["queues"], answer.json["parts"]
    up = dict.fromkeys(("status", "overall", "database", "redis", "broker", "beat"), "up")
    details = {"answeredSeconds": None, "failingRequests": 0, "oldestEventSeconds": None}
    known = {
        "queues": queues,
        "parts": parts,
        "unresponsiveWorkers": 0,
        "failingThreads": 0,
        "stripe": "unknown",
        "stripeDetails": details,
    }
    assert answer.json == {**up, **known}
    assert set(queues) == set(QUEUES)
    assert {(queue["status"], queue["workers"]) for queue in queues.values()} == {("up", 1)}


def test_every_part_is_named_with_its_age(stranger, at_work, session):
    owner = factories.user(session, credits=10)
    factories.execution(session, factories.workflow(session, owner), cap="1.00")
    session.execute(text("UPDATE workflow_executions SET created_at = now() - interval '6 minutes', priority = 'low'"))
    session.execute(text("UPDATE workers SET seen_at = now() - interval '10 seconds'"))
    session.execute(text("UPDATE queue_probes SET ran_at = now() - interval '30 seconds'"))
    session.execute(text(PROBES), {"status": "done", "ago": "30 minutes"})
    session.execute(
        text(
            "INSERT INTO audit_log (id, action, created_at) VALUES (gen_random_uuid(), 'database.backed_up',"
            " now() - interval '25 hours')"
        )
    )
    session.commit()
    parts = stranger.get("/health").json["parts"]
    rough = {
        name: (part["status"], part["ageSeconds"] and round(part["ageSeconds"], -1)) for name, part in parts.items()
    }
    assert rough == {
        **dict.fromkeys(("database", "redis", "broker"), ("up", 0)),
        **{f"queue.{queue}": ("up", None) for queue in QUEUES},
        "queue.executions.low": ("late", 360),
        "beat": ("up", 30),
        "worker.1": ("up", 10),
        "reconciliation.events": ("late", 1_800),
        "reconciliation.purchases": ("unknown", None),
        "reconciliation.objects": ("unknown", None),
        "backup": ("up", 90_000),
    }


def test_a_part_that_is_away_has_the_age_of_its_last_response():
    responses = LastResponses()
    assert responses.note("redis", responds=False) == ("down", None)
    assert responses.note("redis", responds=True) == ("up", 0)
    status, age = responses.note("redis", responds=False)
    assert status == "down"
    assert 0 < age < 10


def test_a_queue_without_a_worker_is_down(stranger, at_work, session):
    session.execute(text("""UPDATE workers SET queues = queues - 'billing'"""))
    answer = stranger.get("/health")
    assert answer.status_code == 503
    assert answer.json["queues"]["billing"]["status"] == "down"
    assert answer.json["queues"]["maintenance"]["status"] == "up"


def test_one_unresponsive_worker_of_two_is_degraded_but_ready(stranger, at_work, session):
    worker_heartbeats.report(session, WorkerInfo("two@host", "host:2", QUEUES, 15), silent=60, full=False)
    session.commit()
    answer = stranger.get("/health")
    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["unresponsiveWorkers"]) == ("degraded", 1)


def test_without_beat_it_is_down(stranger, at_work, session):
    session.execute(text("UPDATE queue_probes SET ran_at = now() - interval '3 minutes'"))
    answer = stranger.get("/health")
    assert answer.status_code == 503
    assert answer.json["beat"] == "down"


def test_without_redis_it_is_not_healthy_but_ready(settings, stranger, at_work):
    client = create_app(replace(settings, redis_url=CLOSED)).test_client()
    answer = client.get("/health")
    assert answer.status_code == 503
    assert (answer.json["status"], answer.json["redis"], answer.json["database"]) == ("down", "down", "up")
    assert client.get("/health/ready").status_code == 200


def test_without_a_database_it_lives_and_is_not_ready(stranger, monkeypatch):
    monkeypatch.setitem(SessionFactory.kw, "bind", None)
    assert stranger.get("/health").json["database"] == "down"
    assert stranger.get("/health/ready").status_code == 503
    assert stranger.get("/health/live").status_code == 200


def test_it_is_not_ready_while_its_process_shuts_down(settings, at_work):
    app = create_app(settings)
    client = app.test_client()
    assert client.get("/health/ready").status_code == 200
    app.extensions["change_notifier"].close()
    assert client.get("/health/ready").status_code == 503


@pytest.mark.parametrize(("revision", "status"), [("0011", 503), ("9999", 200)])
def test_it_is_ready_unless_the_database_is_behind(session, settings, at_work, revision, status):
    newest = session.scalar(text("SELECT version_num FROM alembic_version"))
    client = create_app(settings).test_client()
    session.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})
    session.commit()
    assert client.get("/health/ready").status_code == status
    session.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": newest})
    session.commit()
    assert client.get("/health/ready").status_code == 200


PROBES = """
    INSERT INTO reconciliation_runs (kind, status, since, created_at, finished_at)
    VALUES ('events', :status, now(), now() - CAST(:ago AS interval), now())
"""


@pytest.mark.parametrize(
    ("probes", "stripe"),
    [
        ([("done", "2 minutes")], "up"),
        ([("done", "20 minutes")], "late"),
        ([("done", "6 minutes"), ("incomplete", "1 minute")], "late"),
        ([("done", "20 minutes"), ("incomplete", "1 minute")], "down"),
        ([("incomplete", "1 minute")], "down"),
    ],
)
def test_it_derives_stripes_state_from_probes_and_stays_ready(stranger, at_work, session, probes, stripe):
    for status, ago in probes:
        session.execute(text(PROBES), {"status": status, "ago": ago})
    session.commit()
    answer = stranger.get("/health")
    assert (answer.status_code, answer.json["stripe"]) == (200, stripe)
    assert answer.json["overall"] == ("up" if stripe == "up" else "degraded")


def test_an_operators_dry_run_does_not_hide_missing_probes(stranger, at_work, session):
    for ago in ("20 minutes", "1 minute"):
        session.execute(text(PROBES), {"status": "done", "ago": ago})
    session.execute(text("UPDATE reconciliation_runs SET dry_run = created_at > now() - interval '10 minutes'"))
    session.commit()
    assert stranger.get("/health").json["stripe"] == "late"


def test_an_old_unhandled_event_is_reported(stranger, at_work, session):
    session.execute(text(PROBES), {"status": "done", "ago": "1 minute"})
    billing.event(session)
    session.execute(text("UPDATE stripe_events SET received_at = now() - interval '6 minutes'"))
    session.commit()
    answer = stranger.get("/health").json
    assert (answer["stripe"], answer["overall"]) == ("late", "degraded")
    assert 300 < answer["stripeDetails"]["oldestEventSeconds"] < 400


def test_a_request_that_fails_while_probes_do_is_down_before_long(stranger, at_work, session, user):
    for status, ago in (("done", "6 minutes"), ("incomplete", "1 minute")):
        session.execute(text(PROBES), {"status": status, "ago": ago})
    request = stripe_requests.add(session, user, RequestKind.PURCHASE, {})
    request.last_error = "Stripe did not answer."
    session.commit()
    answer = stranger.get("/health").json
    assert (answer["stripe"], answer["stripeDetails"]["failingRequests"]) == ("down", 1)


def test_it_can_be_asked_without_end(stranger):
    assert {stranger.get("/health/live").status_code for _ in range(150)} == {200}
