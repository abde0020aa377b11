"""What a driver will do at a later moment, as long as it is still wanted then."""

import heapq
import itertools
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Timers(Generic[T]):
    """Actions on things, each at its time. Owned by one thread; `is_current` says whether a thing still matters."""

    def __init__(self, is_current: Callable[[T], bool]) -> None:
        self._is_current = is_current
        self._heap: list[tuple[float, int, T, Callable[[T], None]]] = []
        self._order = itertools.count()

    def after(self, seconds: float, thing: T, action: Callable[[T], None]) -> None:
        """Do it in so many seconds."""
        heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._order), thing, action))

    def act(self) -> float | None:
        """Do what is due; seconds until there is more to do, or None. Zero after something was done."""
        acted: float | None = None
        while self._heap:
            due, _, thing, action = self._heap[0]
            is_current = self._is_current(thing)
            if is_current and due > time.monotonic():
                return acted if acted is not None else due - time.monotonic()
            heapq.heappop(self._heap)
            if is_current:
                action(thing)
                acted = 0.0
        return acted
