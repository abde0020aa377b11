"""Reads of requests that pause at the same time: one for all of them, and each gets what belongs to it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.http.wait import Read
from api.limits import concurrency
from api.limits.concurrency import RETURNING, Overloaded, WorkingSlot
from api.serving import batches, reads
from api.serving.reads import Reads
from models.errors import NotFound

REQUESTS = 120


class Source:
    """Something to read. The first batches do not end before it is opened."""

    def __init__(self, answer: Callable[[int], Any]) -> None:
        self.calls: list[set[int]] = []
        self.opened = threading.Event()
        self._answer = answer

    def load(self, keys: set[int]) -> dict[int, Any]:
        self.calls.append(keys)
        assert self.opened.wait(20)
        return {key: self._answer(key) for key in keys}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def outcomes(pool: ThreadPoolExecutor, source: Source, step: Callable[[Any], Any], keys: range | list[int]) -> list:
    """The results of requests that pause for `keys` at once; those of the first two batches begin before the others."""

    async def ask_all() -> list:
        together = Reads(pool)
        asked = [
            asyncio.create_task(together.step(Read(source.load, key), WorkingSlot(f"user {number}"), step))
            for number, key in enumerate(keys)
        ]
        first = min(-(-len(asked) // batches.MAX_TOGETHER), reads.MAX_BATCHES)
        async with asyncio.timeout(20):
            while len(source.calls) < first:
                await asyncio.sleep(0.001)
            source.opened.set()
            return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(ask_all())


def test_those_who_pause_meanwhile_are_read_together(pool):
    source = Source(lambda key: key * 10)
    assert outcomes(pool, source, lambda answer: answer + 1, range(REQUESTS)) == [i * 10 + 1 for i in range(REQUESTS)]
    assert sorted(key for keys in source.calls for key in keys) == list(range(REQUESTS))
    assert max(map(len, source.calls)) == batches.MAX_TOGETHER
    assert len(source.calls) <= REQUESTS // batches.MAX_TOGETHER + reads.MAX_BATCHES


def test_one_who_pauses_alone_is_read_at_once(pool):
    source = Source(lambda key: "read")
    assert outcomes(pool, source, lambda answer: answer, [7]) == ["read"]
    assert source.calls == [{7}]


def test_whoever_comes_while_the_last_batch_ends_is_read_too(pool):
    source = Source(lambda key: key)
    source.opened.set()

    async def ask_again(together: Reads, key: int) -> list[int]:
        asked = [Read(source.load, key * 10 + number) for number in range(5)]
        return [await together.step(one, WorkingSlot("somebody"), int) for one in asked]

    async def ask_all() -> list:
        together = Reads(pool)
        async with asyncio.timeout(20):
            return await asyncio.gather(*(ask_again(together, key) for key in range(REQUESTS)))

    assert asyncio.run(ask_all()) == [list(range(key * 10, key * 10 + 5)) for key in range(REQUESTS)]


def test_what_many_want_is_read_once_in_a_batch(pool):
    source = Source(lambda key: key)
    assert outcomes(pool, source, lambda answer: answer, [5] * REQUESTS) == [5] * REQUESTS
    assert all(keys == {5} for keys in source.calls)
    assert len(source.calls) <= REQUESTS // batches.MAX_TOGETHER + reads.MAX_BATCHES


def test_what_goes_wrong_with_one_is_no_concern_of_the_others(pool):
    source = Source(lambda key: NotFound("execution") if key == 3 else key)

    def step(answer: Any) -> int:
        if answer == 5:
            raise KeyError(answer)
        return -1 if isinstance(answer, NotFound) else answer

    found = outcomes(pool, source, step, range(7))
    assert isinstance(found[5], KeyError)
    assert found[:5] + found[6:] == [0, 1, 2, -1, 4, 6]


def test_each_is_told_if_reading_fails(pool):
    def fail(key: int) -> None:
        raise ConnectionError

    found = outcomes(pool, Source(fail), lambda answer: type(answer), range(9))
    assert found == [ConnectionError] * 9


def test_each_is_told_if_what_they_want_is_left_out(pool):
    source = Source(lambda key: key)
    source.load = lambda keys: source.calls.append(keys) or {}
    assert [type(found) for found in outcomes(pool, source, lambda answer: answer, range(3))] == [KeyError] * 3


def test_a_batch_holds_one_slot_for_all_of_its_requests(pool):
    free = []

    def step(answer: Any) -> None:
        slot = WorkingSlot("nobody")
        with slot.shared():
            slot.acquire()
            free.append(concurrency.WORKING_SLOTS.free)
            slot.release()

    outcomes(pool, Source(lambda key: key), step, range(REQUESTS))
    assert min(free) >= concurrency.SLOTS - reads.MAX_BATCHES
    assert max(free) < concurrency.SLOTS
    assert concurrency.WORKING_SLOTS.free == concurrency.SLOTS


def test_without_a_slot_each_is_told_that_the_server_is_busy(pool, monkeypatch):
    monkeypatch.setattr(concurrency, "ACQUIRE_TIMEOUT_SECONDS", 0.05)
    held = [WorkingSlot(RETURNING) for _ in range(4)]
    for slot in held:
        slot.acquire()
    source = Source(lambda key: key)
    source.opened.set()

    async def ask() -> type:
        return await Reads(pool).step(Read(source.load, 1), WorkingSlot("somebody"), type)

    assert asyncio.run(ask()) is Overloaded
    assert not source.calls
    for slot in held:
        slot.release()
