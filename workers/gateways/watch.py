"""Ends a call from outside: its sockets are shut down the moment its time is over or somebody cancels it.

A socket's own time-out counts from the last byte, so a server that sends one byte a second would never meet it; one
thread per process looks after the total time of every call in flight.
"""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

from workers.gateways.base import CallFailed, Cancel, Deadline

TICK = 0.1  # seconds between two looks at the deadlines


class Watch:
    """A context in which one call, with all its redirects, has a total time in seconds and can be cancelled."""

    def __init__(self, cancel: Cancel, seconds: float) -> None:
        self.cancel = cancel
        self.deadline = Deadline(seconds)
        self.repeatable = True  # until a request was sent that must not be sent twice
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        self._forget = self.cancel.on_set(self.stop)
        _watchman.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _watchman.discard(self)
        self._forget()

    @property
    def ended(self) -> bool:
        """Whether the call may not go on."""
        return self.cancel.is_set or self.deadline.passed

    def hold(self, sock: socket.socket | None) -> None:
        """From now on this socket is the one to shut down; raises `CallFailed` when the call has ended already."""
        with self._lock:
            self._socket = sock
        if sock is not None:
            self.check()

    def stop(self) -> None:
        """Shut the held socket down, which wakes whoever reads or writes it; the owner closes it."""
        with self._lock:
            if self._socket is not None:
                # Past ssl.SSLSocket.shutdown, which would drop the TLS layer under the reading thread.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise `CallFailed` (`cancelled` or `timeout`) when the call has ended."""
        if self.ended:
            raise self.reason()

    def reason(self) -> CallFailed:
        """Why the call ended."""
        if self.cancel.is_set:
            return CallFailed("cancelled", "The call was cancelled.", outcome="cancelled")
        sentence = "The call took longer than its time limit."
        return CallFailed("timeout", sentence, retryable=self.repeatable, outcome="timeout")


class _Watchman:
    """The thread that stops calls whose time is over; it sleeps while there are none."""

    def __init__(self) -> None:
        self._some = threading.Condition()
        self._watches: set[Watch] = set()
        self._running = False

    def add(self, watch: Watch) -> None:
        with self._some:
            self._watches.add(watch)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="deadlines", daemon=True).start()
            elif len(self._watches) == 1:
                self._some.notify()

    def discard(self, watch: Watch) -> None:
        with self._some:
            self._watches.discard(watch)

    def _run(self) -> None:
        tick = threading.Event()
        while True:
            with self._some:
                self._some.wait_for(lambda: self._watches)
                late = [watch for watch in self._watches if watch.deadline.passed]
            for watch in late:
                watch.stop()
            tick.wait(TICK)


_watchman = _Watchman()
