"""The limits of one call with all its redirects: its total time and its cancellation."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from workers.gateways.base import CallFailed, Cancel

T = TypeVar("T")


class CallLimits:
    """The state of one call, which runs as one task of the event loop."""

    def __init__(self, cancel: Cancel, seconds: float) -> None:
        self._cancel = cancel
        self._seconds = seconds
        self.repeatable = True  # until a request was sent that must not be sent twice
        self.sent = False  # whether any request was sent

    async def hold(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await `work`; raises `CallFailed` (`timeout` or `cancelled`) when its time is over or it is cancelled."""
        if self._cancel.is_set:
            raise self._cancelled()
        forget = self._cancel.on_set(_stopper())
        try:
            async with asyncio.timeout(self._seconds):
                return await work()
        except TimeoutError:
            raise self._timed_out() from None
        except asyncio.CancelledError:
            raise self._cancelled() from None
        except CallFailed as failure:
            failure.sent = self.sent
            raise
        finally:
            forget()

    def _timed_out(self) -> CallFailed:
        sentence = "The call took longer than its time limit."
        return CallFailed("timeout", sentence, retryable=self.repeatable, outcome="timeout", sent=self.sent)

    def _cancelled(self) -> CallFailed:
        return CallFailed("cancelled", "The call was cancelled.", outcome="cancelled", sent=self.sent)


def _stopper() -> Callable[[], None]:
    """Make a function that cancels the current task from any thread."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def stop() -> None:
        if task:
            loop.call_soon_threadsafe(task.cancel)

    return stop
