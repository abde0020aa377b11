"""What every gateway is given and what it raises: one vocabulary for time, cancellation and failure."""

import threading
import time
from collections.abc import Callable

from models.errors import ForgeError


class CallFailed(ForgeError):
    """A call to the outside did not give a usable answer.

    `retryable` says whether a new attempt may succeed, `retry_after` (seconds) when at the earliest, `code` is a stable
    machine-readable cause, and `outcome` one of `failed`, `timeout`, `cancelled`, `unknown` (it may have happened).
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        outcome: str = "failed",
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.retryable = retryable
        self.retry_after = retry_after
        self.outcome = outcome


class Cancel:
    """Tells running calls to stop: set once, seen by waiters at once, and by sockets through `on_set` callbacks."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[], None]] = {}

    @property
    def is_set(self) -> bool:
        """Whether somebody asked to stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask everyone to stop; callbacks run in the caller's thread, once each."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = list(self._callbacks.values()), {}
        for callback in callbacks:
            callback()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; True as soon as the wish to stop is there."""
        return self._event.wait(seconds)

    def on_set(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when set (at once if it is already); returns a function that forgets it again."""
        token = object()
        with self._lock:
            if not self._event.is_set():
                self._callbacks[token] = callback
                return lambda: self._forget(token)
        callback()
        return lambda: None

    def _forget(self, token: object) -> None:
        with self._lock:
            self._callbacks.pop(token, None)


class Deadline:
    """A point in monotonic time."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.remaining <= 0
