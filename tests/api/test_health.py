"""Health tells the truth about what the service depends on."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from api import create_app
from models.db import SessionFactory
from models.services import presence
from models.services.presence import Me
from tasks.queue import QueueName

CLOSED = "redis://127.0.0.1:1/0"
QUEUES = [queue.value for queue in QueueName]


@pytest.fixture
def at_work(session):
    """A worker for every queue, and a beat."""
    presence.report(session, Me("one@host", "host:1", QUEUES, 15), silent=0, full=False)
    for queue in QUEUES:
        presence.sing(session, queue, "host:1")
    session.commit()


def test_everything_is_up(stranger, at_work):
    answer = stranger.get("/api/health")
    assert answer.status_code == 200
    queues = answer.json.pop("queues")
    up = dict.fromkeys(("status", "overall", "database", "redis", "beat"), "up")
    assert answer.json | {"queues": queues} == {**up, "queues": queues, "deafWorkers": 0}
    assert set(queues) == set(QUEUES)
    assert {(queue["status"], queue["workers"]) for queue in queues.values()} == {("up", 1)}


def test_a_queue_that_nobody_takes_from_is_down(stranger, at_work, session):
    session.execute(text("""UPDATE workers SET queues = queues - 'billing'"""))
    answer = stranger.get("/health")
    assert answer.status_code == 503
    assert answer.json["queues"]["billing"]["status"] == "down"
    assert answer.json["queues"]["maintenance"]["status"] == "up"


def test_one_deaf_worker_of_two_is_degraded_and_no_reason_to_send_requests_elsewhere(stranger, at_work, session):
    presence.report(session, Me("two@host", "host:2", QUEUES, 15), silent=60, full=False)
    session.commit()
    answer = stranger.get("/health")
    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["deafWorkers"]) == ("degraded", 1)


def test_without_beat_it_is_down(stranger, at_work, session):
    session.execute(text("UPDATE canaries SET ran_at = now() - interval '3 minutes'"))
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


def test_it_can_be_asked_without_end(stranger):
    assert {stranger.get("/health/live").status_code for _ in range(150)} == {200}
