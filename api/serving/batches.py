"""Batches: work of the same kind that is asked for at the same time is done together, in one thread.

What comes while earlier batches work makes up the next one. Nobody waits for others to come: while few ask, each is
served at once. A batch saves statements and changes of threads, which cost more than the work itself.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from api.limits.concurrency import Overloaded, WorkingSlot

MAX_TOGETHER = 20  # items: with more, the requests of others wait longer in between
MAX_OF_ONE = 8  # of one group in a batch, so that who asks for much leaves the batch short for others
MAX_QUEUED = 500  # of one group

Item = TypeVar("Item")
Result = TypeVar("Result")
# Called in a thread with the items of a batch, and whether it was refused a slot; returns what gives each its result.
Prepare = Callable[[Sequence[Item], bool], Sequence[Callable[[], Result]]]


class _Asked(NamedTuple):
    item: Any
    result: "asyncio.Future[Any]"

    def settled_by(self, work: Callable[[], Any]) -> Callable[[], None]:
        """Do the work in this thread; returns what passes its result on, on the event loop."""
        try:
            return partial(self._settle, self.result.set_result, work())
        except BaseException as error:
            return self.failed(error)

    def failed(self, error: BaseException) -> Callable[[], None]:
        """What passes `error` on instead of a result."""
        return partial(self._settle, self.result.set_exception, error)

    def _settle(self, settle: Callable[[Any], None], value: Any) -> None:
        if not self.result.done():
            settle(value)


class Batches(Generic[Item, Result]):
    """The batches of one kind of work, in slots of `group`; those who ask are groups that take turns."""

    def __init__(self, threads: Executor, prepare: Prepare[Item, Result], group: str, *, at_a_time: int) -> None:
        self._threads, self._prepare, self._group, self._at_a_time = threads, prepare, group, at_a_time
        self._queues: dict[str, deque[_Asked]] = {}  # by who asks; whose turn is next comes first
        self._working = 0  # batches
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, item: Item, who: str) -> Result:
        """Work on `item` in the next batch; returns its result, or raises what went wrong with it.

        Raises `Overloaded` if too much is queued for `who`.
        """
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(who, deque())
        if len(queue) >= MAX_QUEUED:
            raise Overloaded
        queue.append(_Asked(item, result))
        if self._working < self._at_a_time:
            self._working += 1
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await result

    async def _run(self) -> None:
        """Run batches until nobody asks; who comes after that begins anew."""
        try:
            while self._queues:
                slot = WorkingSlot(self._group)
                await slot.acquire_async()
                try:
                    await self._run_batch(self._take(), slot)
                finally:
                    slot.release()
        finally:
            self._working -= 1

    def _take(self) -> list[_Asked]:
        """The items of the next batch: one of each group in turn."""
        batch: list[_Asked] = []
        for _ in range(MAX_OF_ONE):
            for who in list(islice(self._queues, MAX_TOGETHER - len(batch))):
                queue = self._queues.pop(who)
                batch.append(queue.popleft())
                if queue:
                    self._queues[who] = queue  # behind the other groups
        return batch

    async def _run_batch(self, batch: list[_Asked], slot: WorkingSlot) -> None:
        work = partial(self._work, batch, slot.is_refused)
        try:
            settled = await asyncio.get_running_loop().run_in_executor(self._threads, work) if batch else []
        except Exception as error:
            settled = [one.failed(error) for one in batch]
        for settle in settled:
            settle()

    def _work(self, batch: list[_Asked], is_refused: bool) -> list[Callable[[], None]]:
        prepared = self._prepare([one.item for one in batch], is_refused)
        return [one.settled_by(work) for one, work in zip(batch, prepared, strict=True)]
