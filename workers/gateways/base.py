"""The types that all gateways share: deadlines, cancellation and the error of a failed call."""

import threading
import time
from collections.abc import Callable

from models.errors import ForgeError


class CallFailed(ForgeError):
    """A call to an outside service gave no usable response.

    Attributes:
        code: a stable machine-readable cause.
        retryable: whether a new attempt may succeed.
        retry_after: seconds to wait before a new attempt.
        outcome: `failed`, `timeout`, `cancelled`, or `unknown` when the call may have taken effect.
        sent: whether a request had been sent by then.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        outcome: str = "failed",
        sent: bool = True,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.sent = sent
        self.retryable = retryable
        self.retry_after = retry_after
        self.outcome = outcome


class Cancel:
    """A one-way flag that stops running calls: waiters wake at once, sockets are closed by `on_set` callbacks."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[], None]] = {}

    @property
    def is_set(self) -> bool:
        """Whether a stop was requested."""
        return self._event.is_set()

    def set(self) -> None:
        """Request the stop; run each callback once, in the caller's thread."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = list(self._callbacks.values()), {}
        for callback in callbacks:
            callback()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; True as soon as a stop is requested."""
        return self._event.wait(seconds)

    def on_set(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when set (at once if it is already); return a function that unregisters it."""
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
