"""Graphs of some size are judged one at a time in each process, and a user's flood makes that user wait."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from api.limits import heavy
from models.fair_slots import FairSemaphore
from tests.support.api.graphs import node, two_steps

LARGE = two_steps() | {"description": "x" * heavy.HEAVY_BYTES}


@pytest.fixture
def one_slot(monkeypatch) -> FairSemaphore:
    """A place that the test may hold, in whose line one of each user may stand, not for long."""
    places = FairSemaphore(1, per_group=1, waiting=1)
    monkeypatch.setattr(heavy, "_slots", places)
    monkeypatch.setattr(heavy, "QUEUE_TIMEOUT_SECONDS", 0.1)
    return places


def test_a_large_graph_is_queued_and_then_gets_retry_after(client, one_slot):
    with one_slot.acquired("another user", timeout=1):
        answer = client.post("/workflows/validate", json=LARGE)
        assert (answer.status_code, answer.json["code"]) == (503, "overloaded")
        assert "Retry-After" in answer.headers
        for method, path in (("POST", "/workflows"), ("POST", "/templates")):
            assert client.open(path, method=method, json=LARGE).status_code == 503
    assert client.post("/workflows/validate", json=LARGE).status_code == 200


def test_small_graphs_and_everything_else_go_on(client, one_slot):
    with one_slot.acquired("another user", timeout=1):
        assert client.post("/workflows/validate", json=two_steps()).status_code == 200
        assert client.get("/workflows").status_code == 200


def test_the_slot_is_released_whatever_the_answer(client, one_slot):
    for _ in range(2):
        wrong = {"nodes": [node("a", "input")] * 11, "connections": [], "description": "x" * heavy.HEAVY_BYTES}
        assert client.post("/workflows/validate", json=wrong).status_code == 403


def test_a_queued_graph_holds_no_working_slot(client, one_slot, monkeypatch, app):
    monkeypatch.setattr(heavy, "QUEUE_TIMEOUT_SECONDS", 10)
    done = Event()
    with ThreadPoolExecutor(1) as pool:
        with one_slot.acquired("another user", timeout=1):
            waiting = pool.submit(client.post, "/workflows/validate", json=LARGE)
            while not one_slot._queues:
                done.wait(0.01)
            assert app.test_client().get("/health/live").status_code == 200
        assert waiting.result(20).status_code == 200
