"""Health tells the truth about what the service depends on."""

from dataclasses import replace

from api import create_app
from models.db import SessionFactory

CLOSED = "redis://127.0.0.1:1/0"


def test_everything_is_up(stranger):
    answer = stranger.get("/api/health")
    assert answer.status_code == 200
    assert answer.json == {"status": "up", "overall": "up", "database": "up", "redis": "up"}


def test_without_redis_it_is_not_healthy_but_ready(settings, stranger):
    client = create_app(replace(settings, redis_url=CLOSED)).test_client()
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json == {"status": "down", "overall": "down", "database": "up", "redis": "down"}
    assert client.get("/health/ready").status_code == 200


def test_without_a_database_it_lives_and_is_not_ready(stranger, monkeypatch):
    monkeypatch.setitem(SessionFactory.kw, "bind", None)
    assert stranger.get("/health").json["database"] == "down"
    assert stranger.get("/health/ready").status_code == 503
    assert stranger.get("/health/live").status_code == 200


def test_it_can_be_asked_without_end(stranger):
    assert {stranger.get("/health/live").status_code for _ in range(150)} == {200}
