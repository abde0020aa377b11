"""Concurrency limit of a process: few requests work at a time, shared fairly among callers; thousands may wait.

A working request holds a slot; there are fewer slots than database connections. A request that waits holds none. The
front of the server (`api.serving`) acquires slots before it takes a thread; on any other server the request does it.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from flask import Flask, g, request

from models.errors import TransientError
from models.fair_slots import FairSemaphore, QueueFull

SLOT = "agentforge.slot"  # in a request's environment: its `WorkingSlot`
ANONYMOUS = "anonymous"  # the group of all callers whose credential this process has not verified yet
MACHINES = "machines"  # the group of health checks and webhooks, which no flood of strangers may delay
RETURNING = "returning"  # the group of all requests that have waited and go on
READING = "reading"  # the group of the batches of short reads (`api.serving.foresight`), in which users take turns
UNKNOWN = "unknown"  # the group of all requests on a server without our front
# Requests queue here, fairly, and not for the interpreter, where each computing thread delays every other one, some ten
# times in a request, and on a busy machine for milliseconds each time. So few of a group work at a time.
SLOTS = 16
WORKING_SLOTS = FairSemaphore(
    SLOTS,
    per_group=2,
    waiting=500,
    limits={ANONYMOUS: 1, READING: 1, RETURNING: 4, UNKNOWN: SLOTS},
    unbounded={READING, RETURNING},
)
ACQUIRE_TIMEOUT_SECONDS = 20.0
NEEDS_NO_SLOT = "health.live"  # a liveness probe ends a process that does not respond, and it uses no resources


T = TypeVar("T")


class Overloaded(TransientError):
    """The server is busy, and the request was not begun; try again."""

    code = "overloaded"

    def __init__(self) -> None:
        super().__init__("The server is busy; try again in a moment.")


class WorkingSlot:
    """The slot of one request, which it may release and acquire again."""

    def __init__(self, group: str) -> None:
        self.caller = self.group = group
        self.is_held = False
        self.is_refused = False
        self._is_free_of_charge = False

    @classmethod
    def free_of_charge(cls) -> "WorkingSlot":
        """A slot that is none, for a request that needs none."""
        slot = cls(ANONYMOUS)
        slot._is_free_of_charge = True
        return slot

    def becomes_returning(self) -> None:
        """Take turns from now on with the requests that have waited."""
        self.group = RETURNING

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Within the block the request works in a slot that others hold for it, and needs none of its own."""
        before, self._is_free_of_charge = self._is_free_of_charge, True
        try:
            yield
        finally:
            self._is_free_of_charge = before

    async def acquire_async(self) -> None:
        """Acquire a slot of the group on an event loop; if that fails, `acquire` raises `Overloaded`."""
        if self._is_free_of_charge or self.is_refused:
            return
        loop = asyncio.get_running_loop()
        granted: asyncio.Future[None] = loop.create_future()

        def grant() -> None:
            loop.call_soon_threadsafe(granted.set_result, None)

        try:
            self.is_held = WORKING_SLOTS.request(self.group, grant)
        except QueueFull:
            self.is_refused = True
            return
        if not self.is_held:
            await asyncio.wait((granted,), timeout=ACQUIRE_TIMEOUT_SECONDS)
            self.is_refused = WORKING_SLOTS.withdraw(self.group, grant)
            self.is_held = not self.is_refused

    async def work(self, threads: Executor, work: Callable[[], T]) -> T:
        """Run `work` in a thread, once the slot is granted; if it is refused, `work` finds out."""
        await self.acquire_async()
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work)
        finally:
            self.release()

    def acquire(self) -> None:
        """Acquire a slot of the group, blocking this thread; raises `Overloaded`."""
        if self.is_held or self._is_free_of_charge:
            return
        if self.is_refused:
            raise Overloaded
        try:
            WORKING_SLOTS.acquire(self.group, timeout=ACQUIRE_TIMEOUT_SECONDS)
        except QueueFull as error:
            raise Overloaded from error
        self.is_held = True

    def release(self) -> None:
        """Release the slot, if it is held."""
        if self.is_held:
            self.is_held = False
            WORKING_SLOTS.release(self.group)


def init_app(app: Flask) -> None:
    """Hold a slot during every request. Register it after the reading of bodies, so that slow clients hold none."""

    @app.before_request
    def begin() -> None:
        if request.endpoint != NEEDS_NO_SLOT:
            acquire()

    app.teardown_request(release)


def acquire() -> None:
    """Hold a slot for this request, or for its next step after a pause; raises `Overloaded`."""
    if "slot" not in g:
        g.slot = request.environ.get(SLOT) or WorkingSlot(UNKNOWN)
    g.slot.acquire()


def release(_: BaseException | None = None) -> None:
    """Release the slot of this request, if it holds one."""
    if "slot" in g:
        g.slot.release()


@contextmanager
def slot_released() -> Iterator[None]:
    """Release this request's slot while its thread waits, and acquire it again; raises `Overloaded`."""
    release()
    yield
    acquire()
