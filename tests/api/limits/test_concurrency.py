"""Few requests work at a time; the others wait for their turn, and not for ever."""

import threading

import pytest

from api.limits import concurrency
from models.fair_slots import FairSemaphore


@pytest.fixture
def slots(monkeypatch) -> FairSemaphore:
    """One working slot, and no time to wait for it."""
    slots = FairSemaphore(1, per_group=1, waiting=8)
    monkeypatch.setattr(concurrency, "WORKING_SLOTS", slots)
    monkeypatch.setattr(concurrency, "ACQUIRE_TIMEOUT_SECONDS", 0.05)
    return slots


def test_a_request_without_a_slot_gets_retry_after(client, slots):
    with slots.acquired("another user", timeout=1):
        answer = client.get("/auth/me")
    assert (answer.status_code, answer.json["code"]) == (503, "overloaded")
    assert "Retry-After" in answer.headers
    assert client.get("/auth/me").status_code == 200


def test_a_process_says_that_it_lives_however_much_there_is_to_do(client, slots):
    with slots.acquired("another user", timeout=1):
        assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("path", ["/auth/me", "/workflows/1", "/executions?limit=x", "/health/live"])
def test_the_slot_is_released_whatever_the_answer(client, stranger, slots, path):
    for _ in range(2):
        assert client.get(path).status_code != 503
        assert stranger.get(path).status_code != 503


@pytest.mark.parametrize(("group", "threads"), [("a user", 2), (concurrency.ANONYMOUS, 1)])
def test_no_caller_competes_with_others_in_many_threads(group, threads):
    granted = [concurrency.WORKING_SLOTS.request(group, lambda: None) for _ in range(threads)]
    waits = concurrency.WORKING_SLOTS.request(group, print)
    others = concurrency.WORKING_SLOTS.request("another user", lambda: None)
    concurrency.WORKING_SLOTS.withdraw(group, print)
    for one in [*[group] * threads, "another user"]:
        concurrency.WORKING_SLOTS.release(one)
    assert ([*granted, waits, others], concurrency.WORKING_SLOTS.free) == ([True] * threads + [False, True], 16)


def test_one_takes_a_slot_after_another(client, slots, monkeypatch):
    answers = []
    slots.acquire("another user", timeout=1)
    monkeypatch.setattr(concurrency, "ACQUIRE_TIMEOUT_SECONDS", 20)
    asking = threading.Thread(target=lambda: answers.append(client.get("/credits/costs")))
    asking.start()
    asking.join(0.1)
    assert answers == []
    slots.release("another user")
    asking.join(20)
    assert answers[0].status_code == 200
