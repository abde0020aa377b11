"""Reads of requests that pause: those that pause for the same at the moment are read, and then resumed, together.

A burst of wakes, as when one change concerns many clients, costs a few statements and changes of threads instead of
several for each client.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple, TypeVar

from api.http.wait import Load, Read, read
from api.limits.concurrency import RETURNING, Overloaded, WorkingSlot
from api.serving.batches import Batches

MAX_BATCHES = 2  # of one kind at a time: the database works for one while the other's requests are resumed

T = TypeVar("T")


class _Paused(NamedTuple):
    """A request that pauses for `read`, and its next step."""

    read: Read
    slot: WorkingSlot
    step: Callable[[Any], Any]

    def resume(self, answers: Any) -> Any:
        with self.slot.shared():
            return self.step(answers[self.read.key])


class Reads:
    """The reads that are asked for in a process."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._batches: dict[Load, Batches[_Paused, Any]] = {}

    async def step(self, read: Read, slot: WorkingSlot, step: Callable[[Any], T]) -> T:
        """Read, and run `step` with the answer in a thread; a batch has one working slot for all of its requests."""
        batches = self._batches.get(read.load)
        if batches is None:
            batches = Batches(self._threads, partial(_read, read.load), RETURNING, at_a_time=MAX_BATCHES)
            self._batches[read.load] = batches
        found: T = await batches.add(_Paused(read, slot, step), slot.caller)
        return found


def _read(load: Load, batch: Sequence[_Paused], is_refused: bool) -> list[Callable[[], Any]]:
    keys = {one.read.key for one in batch}
    answers = dict.fromkeys(keys, Overloaded()) if is_refused else read(load, keys)
    return [partial(one.resume, answers) for one in batch]
