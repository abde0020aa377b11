"""Reads of requests that pause: those that pause for the same at the moment are read, and then resumed, together.

A burst of wakes, as when one change concerns many clients, costs a few statements and changes of threads instead of
several for each client. Nobody waits for others to come: while few pause, each is read at once.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from api.http.wait import Load, Read, read
from api.limits.concurrency import RETURNING, Overloaded, WorkingSlot

MAX_TOGETHER = 20  # requests: with more, the requests of others wait longer in between
MAX_BATCHES = 2  # at a time: the database works for one while the other's requests are resumed

T = TypeVar("T")


@dataclass(frozen=True)
class _Paused:
    """A request that pauses, its next step, and the result of that for whoever drives it."""

    read: Read
    slot: WorkingSlot
    step: Callable[[Any], Any]
    result: "asyncio.Future[Any]"

    def run(self, answer: Any) -> Callable[[], None]:
        """Run the step in this thread; returns what passes its result on, on the event loop."""
        try:
            with self.slot.shared():
                return partial(self._settle, self.result.set_result, self.step(answer))
        except BaseException as error:
            return self.failed(error)

    def failed(self, error: BaseException) -> Callable[[], None]:
        """What passes `error` on instead of a result."""
        return partial(self._settle, self.result.set_exception, error)

    def _settle(self, settle: Callable[[Any], None], value: Any) -> None:
        if not self.result.done():
            settle(value)


class Reads:
    """The reads that are asked for in a process."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._paused: dict[Load, deque[_Paused]] = {}
        self._working: Counter[Load] = Counter()  # batches
        self._tasks: set[asyncio.Task[None]] = set()

    async def step(self, read: Read, slot: WorkingSlot, step: Callable[[Any], T]) -> T:
        """Read, and run `step` with the answer in a thread; a batch has one working slot for all of its requests."""
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._paused.setdefault(read.load, deque()).append(_Paused(read, slot, step, result))
        if self._working[read.load] < MAX_BATCHES:
            self._working[read.load] += 1
            task = asyncio.create_task(self._run(read.load))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await result

    async def _run(self, load: Load) -> None:
        """Run batches until nobody pauses for this; who comes after that begins anew."""
        queue = self._paused[load]
        try:
            while queue:
                slot = WorkingSlot(RETURNING)
                await slot.acquire_async()
                try:
                    await self._run_batch(load, slot, [queue.popleft() for _ in range(min(len(queue), MAX_TOGETHER))])
                finally:
                    slot.release()
        finally:
            self._working[load] -= 1

    async def _run_batch(self, load: Load, slot: WorkingSlot, batch: list[_Paused]) -> None:
        loop, work = asyncio.get_running_loop(), partial(_resume, load, batch, slot)
        try:
            settled = await loop.run_in_executor(self._threads, work) if batch else []
        except Exception as error:
            settled = [one.failed(error) for one in batch]
        for settle in settled:
            settle()


def _resume(load: Load, batch: list[_Paused], slot: WorkingSlot) -> list[Callable[[], None]]:
    keys = {one.read.key for one in batch}
    answers = dict.fromkeys(keys, Overloaded()) if slot.is_refused else read(load, keys)
    return [one.run(answers[one.read.key]) for one in batch]
