"""The event loop that performs all HTTP calls of a process in one thread."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import cache, partial
from typing import Any, TypeVar

import threads

T = TypeVar("T")
Work = Callable[[], object]


class EventLoop:
    """An asyncio loop in its own thread; its methods may be called from any other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_report)
        self._asked: list[Work] = []  # calls for the loop, which is woken once for all of them
        self._asking = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()  # asyncio keeps weak references only
        # Tasks belong to the loop, so they continue when its thread has failed and is started again.
        threads.keep_running("calls", self._loop.run_forever)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine as a task; its exceptions are reported."""
        self.soon(partial(self._begin, work))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, block until it ends, and return its result or raise its exception."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def soon(self, work: Work) -> None:
        """Call a function in the loop's thread."""
        with self._asking:
            self._asked.append(work)
            is_first = len(self._asked) == 1
        if is_first:
            self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        with self._asking:
            asked, self._asked = self._asked, []
        for work in asked:
            try:
                work()  # at once: another turn of the loop would cost as much as the work
            except Exception:
                threads.report_failure("calls")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@cache
def event_loop() -> EventLoop:
    """The loop of this process, started on first use."""
    return EventLoop()


def _report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an exception that no caller handles."""
    try:
        raise context.get("exception") or RuntimeError(context["message"])
    except Exception:
        threads.report_failure("calls")
