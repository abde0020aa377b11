"""A semaphore for CPU-bound work, shared fairly between groups.

A waiter queues behind those of its group; a free slot goes to the group that holds the fewest slots and, among these,
has waited longest. So many waiters of one group delay that group, and others by one slot at most.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import TransientError


class QueueFull(TransientError):
    """The server is busy, and the request was not begun; try again."""

    code = "overloaded"

    def __init__(self) -> None:
        super().__init__("The server is busy; try again in a moment.")


class FairSemaphore:
    """A semaphore with `slots`, of which a group holds at most `per_group` and queues at most `waiting` for more."""

    def __init__(self, slots: int, *, per_group: int, waiting: int) -> None:
        self._lock = threading.Lock()
        self._free, self._per_group, self._waiting = slots, per_group, waiting
        self._held: Counter[str] = Counter()
        self._queues: dict[str, deque[threading.Event]] = {}  # by group; the group that waited longest comes first

    @contextmanager
    def acquired(self, group: str, *, timeout: float) -> Iterator[None]:
        """Hold a slot for `group`, waiting at most `timeout` seconds for it; raises `QueueFull`."""
        self._acquire(group, time.monotonic() + timeout)
        try:
            yield
        finally:
            self._release(group)

    def _acquire(self, group: str, until: float) -> None:
        granted = threading.Event()
        with self._lock:
            queue = self._queues.get(group)
            if queue is not None and len(queue) >= self._waiting:
                raise QueueFull
            self._queues.setdefault(group, deque()).append(granted)
            self._grant_free()
        if granted.wait(until - time.monotonic()):
            return
        with self._lock:
            if not granted.is_set():  # it may have been granted between the time-out and the lock
                self._leave_queue(group, granted)
                raise QueueFull

    def _release(self, group: str) -> None:
        with self._lock:
            self._free += 1
            self._held[group] -= 1
            self._held += Counter()  # removes groups that hold no slot
            self._grant_free()

    def _grant_free(self) -> None:
        while self._free and (ready := [one for one in self._queues if self._held[one] < self._per_group]):
            group = min(ready, key=self._held.__getitem__)
            first = self._queues[group][0]
            self._leave_queue(group, first)
            if group in self._queues:
                self._queues[group] = self._queues.pop(group)  # behind the other groups
            self._free -= 1
            self._held[group] += 1
            first.set()

    def _leave_queue(self, group: str, granted: threading.Event) -> None:
        self._queues[group].remove(granted)
        if not self._queues[group]:
            del self._queues[group]
