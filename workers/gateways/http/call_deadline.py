"""Stop a call of a blocking library, such as SMTP's, by shutting its socket down when its total time is over.

A socket's own timeout counts from the last byte, so a server that sends one byte a second would never exceed it; one
thread per process enforces the total time of each. HTTP calls have `call_limits` instead.
"""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

import threads
from workers.gateways.base import CallFailed, Cancel, Deadline

TICK = 0.1  # seconds between two checks of the deadlines


class CallDeadline:
    """A context in which one call, with all its redirects, has a total time in seconds and can be cancelled."""

    def __init__(self, cancel: Cancel, seconds: float) -> None:
        self.cancel = cancel
        self.deadline = Deadline(seconds)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        self._forget = self.cancel.on_set(self.stop)
        _deadline_thread.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _deadline_thread.discard(self)
        self._forget()

    @property
    def ended(self) -> bool:
        """Whether the call was cancelled or its time is over."""
        return self.cancel.is_set or self.deadline.passed

    def hold(self, sock: socket.socket | None) -> None:
        """Make this socket the one to shut down; raises `CallFailed` when the call has ended already."""
        with self._lock:
            self._socket = sock
        if sock is not None:
            self.check()

    def stop(self) -> None:
        """Shut the held socket down, which wakes the thread that reads or writes it; its owner closes it."""
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
        """The error that says why the call ended."""
        if self.cancel.is_set:
            return CallFailed("cancelled", "The call was cancelled.", outcome="cancelled")
        sentence = "The call took longer than its time limit."
        return CallFailed("timeout", sentence, retryable=True, outcome="timeout")


class _DeadlineThread:
    """The thread that stops calls whose time is over; it sleeps while there are none."""

    def __init__(self) -> None:
        self._some = threading.Condition()
        self._deadlines: set[CallDeadline] = set()
        self._running = False

    def add(self, deadline: CallDeadline) -> None:
        with self._some:
            self._deadlines.add(deadline)
            if not self._running:
                threads.keep_running("deadlines", self._run)
                self._running = True
            elif len(self._deadlines) == 1:
                self._some.notify()

    def discard(self, deadline: CallDeadline) -> None:
        with self._some:
            self._deadlines.discard(deadline)

    def _run(self) -> None:
        tick = threading.Event()
        while True:
            with self._some:
                self._some.wait_for(lambda: self._deadlines)
                late = [deadline for deadline in self._deadlines if deadline.deadline.passed]
            for deadline in late:
                deadline.stop()
            tick.wait(TICK)


_deadline_thread = _DeadlineThread()
