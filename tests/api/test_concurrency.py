"""Few requests work at a time; the others wait for their turn, and not for ever."""

import threading

import pytest

from api import concurrency


@pytest.fixture
def places(monkeypatch) -> threading.BoundedSemaphore:
    """One place to work, and nobody with the patience to wait for it."""
    places = threading.BoundedSemaphore(1)
    monkeypatch.setattr(concurrency, "WORKING", places)
    monkeypatch.setattr(concurrency, "PATIENCE_SECONDS", 0.05)
    return places


def test_whoever_finds_no_place_is_told_to_come_back(client, places):
    with places:
        answer = client.get("/auth/me")
    assert (answer.status_code, answer.json["code"]) == (503, "overloaded")
    assert "Retry-After" in answer.headers
    assert client.get("/auth/me").status_code == 200


def test_a_process_says_that_it_lives_however_much_there_is_to_do(client, places):
    with places:
        assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("path", ["/auth/me", "/workflows/1", "/executions?limit=x", "/health/live"])
def test_the_place_is_given_back_whatever_the_answer(client, stranger, places, path):
    for _ in range(2):
        assert client.get(path).status_code != 503
        assert stranger.get(path).status_code != 503


def test_one_takes_a_place_after_another(client, places, monkeypatch):
    answers = []
    places.acquire()
    monkeypatch.setattr(concurrency, "PATIENCE_SECONDS", 20)
    asking = threading.Thread(target=lambda: answers.append(client.get("/credits/costs")))
    asking.start()
    asking.join(0.1)
    assert answers == []
    places.release()
    asking.join(20)
    assert answers[0].status_code == 200
