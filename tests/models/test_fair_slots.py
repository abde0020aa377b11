"""Places for heavy work are shared among groups, whatever one of them asks for."""

import threading
import time
from collections.abc import Callable

import pytest

from models.fair_slots import FairSemaphore, QueueFull


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def lines(places: FairSemaphore) -> int:
    return sum(map(len, places._queues.values()))


def ask(places: FairSemaphore, group: str, served: list[str]) -> threading.Thread:
    def work() -> None:
        with places.acquired(group, timeout=10):
            served.append(group)

    before = lines(places)
    thread = threading.Thread(target=work)
    thread.start()
    eventually(lambda: lines(places) > before)
    return thread


def test_one_that_comes_behind_a_flood_is_served_next() -> None:
    places, served = FairSemaphore(1, per_group=1, waiting=8), []
    with places.acquired("flood", timeout=1):
        threads = [ask(places, "flood", served) for _ in range(8)]
        threads.append(ask(places, "victim", served))
    for thread in threads:
        thread.join(10)
    assert served.index("victim") <= 1
    assert sorted(served) == ["flood"] * 8 + ["victim"]


def test_only_the_group_that_fills_its_queue_is_refused() -> None:
    places, served = FairSemaphore(1, per_group=1, waiting=1), []
    with places.acquired("flood", timeout=1):
        waits = ask(places, "flood", served)
        begun = time.monotonic()
        with pytest.raises(QueueFull), places.acquired("flood", timeout=10):
            pass
        assert time.monotonic() - begun < 8
        other = ask(places, "victim", served)
    waits.join(10)
    other.join(10)
    assert sorted(served) == ["flood", "victim"]


def test_a_group_never_holds_every_slot() -> None:
    places, served = FairSemaphore(2, per_group=1, waiting=4), []
    with places.acquired("flood", timeout=1):
        waits = ask(places, "flood", served)
        with places.acquired("victim", timeout=1):
            assert served == []
    waits.join(10)
    assert served == ["flood"]


def test_a_timed_out_waiter_leaves_nothing_behind() -> None:
    places = FairSemaphore(1, per_group=1, waiting=4)
    with places.acquired("one", timeout=1), pytest.raises(QueueFull), places.acquired("other", timeout=0.05):
        pass
    with places.acquired("other", timeout=0.05), pytest.raises(QueueFull), places.acquired("one", timeout=0.05):
        pass
    assert places._queues == {}


def test_many_at_once_lose_no_slot() -> None:
    places, served = FairSemaphore(3, per_group=2, waiting=100), []

    def work(number: int) -> None:
        for _ in range(20):
            with places.acquired(f"g{number % 5}", timeout=30):
                time.sleep(0.0005)
        served.append(str(number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(served) == 20
    assert places._free == 3
    assert not places._held
