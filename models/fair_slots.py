"""A semaphore shared fairly between groups.

A waiter queues behind those of its group; a free slot goes to the group that holds the fewest slots and, among these,
has waited longest. So many waiters of one group delay that group, and others by one slot at most.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from models.errors import TransientError

Granted = Callable[[], object]


class QueueFull(TransientError):
    """The server is busy, and the request was not begun; try again."""

    code = "overloaded"

    def __init__(self) -> None:
        super().__init__("The server is busy; try again in a moment.")


class FairSemaphore:
    """A semaphore with `slots`, of which a group holds at most `per_group` and queues at most `waiting` for more.

    `limits` are the slots of groups that get fewer or more; the groups in `unbounded` have queues without end.
    """

    def __init__(
        self,
        slots: int,
        *,
        per_group: int,
        waiting: int,
        limits: Mapping[str, int] | None = None,
        unbounded: Collection[str] = (),
    ) -> None:
        self._lock = threading.Lock()
        self._free, self._per_group, self._waiting = slots, per_group, waiting
        self._limits, self._unbounded = limits or {}, unbounded
        self._held: Counter[str] = Counter()
        self._queues: dict[str, deque[Granted]] = {}  # by group; the group that waited longest comes first

    @property
    def free(self) -> int:
        """The number of slots that no group holds."""
        return self._free

    @contextmanager
    def acquired(self, group: str, *, timeout: float) -> Iterator[None]:
        """Hold a slot for `group`, waiting at most `timeout` seconds for it; raises `QueueFull`."""
        self.acquire(group, timeout=timeout)
        try:
            yield
        finally:
            self.release(group)

    def acquire(self, group: str, *, timeout: float) -> None:
        """Acquire a slot for `group`, blocking at most `timeout` seconds; raises `QueueFull`."""
        until, granted = time.monotonic() + timeout, threading.Event()
        if self.request(group, granted.set) or granted.wait(until - time.monotonic()):
            return
        if self.withdraw(group, granted.set):
            raise QueueFull

    def request(self, group: str, granted: Granted) -> bool:
        """Acquire a slot for `group` now, or queue for one; raises `QueueFull`.

        Returns:
            Whether the slot was free. If not, `granted` is called once it is, in the thread that released it; it must
            not block.
        """
        with self._lock:
            queue = self._queues.get(group)
            if queue is None and self._free and self._may_hold(group):
                self._hold(group)
                return True
            if len(queue or ()) >= self._waiting and group not in self._unbounded:
                raise QueueFull
            self._queues.setdefault(group, deque()).append(granted)
            return False

    def withdraw(self, group: str, granted: Granted) -> bool:
        """Leave the queue; returns False if the slot was granted meanwhile, which its owner must release."""
        with self._lock:
            if granted not in self._queues.get(group, ()):
                return False
            self._leave_queue(group, granted)
            return True

    def release(self, group: str) -> None:
        """Release a slot of `group`."""
        with self._lock:
            self._free += 1
            self._held[group] -= 1
            if not self._held[group]:
                del self._held[group]
            self._grant_free()

    def _may_hold(self, group: str) -> bool:
        return self._held[group] < self._limits.get(group, self._per_group)

    def _hold(self, group: str) -> None:
        self._free -= 1
        self._held[group] += 1

    def _grant_free(self) -> None:
        while self._free and (ready := [one for one in self._queues if self._may_hold(one)]):
            group = min(ready, key=self._held.__getitem__)
            first = self._queues[group][0]
            self._leave_queue(group, first)
            if group in self._queues:
                self._queues[group] = self._queues.pop(group)  # behind the other groups
            self._hold(group)
            first()

    def _leave_queue(self, group: str, granted: Granted) -> None:
        self._queues[group].remove(granted)
        if not self._queues[group]:
            del self._queues[group]
