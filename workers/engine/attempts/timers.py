"""The timed events of a driver's attempts, dropped when their attempt is no longer current."""

import heapq
import itertools
import time
from collections.abc import Mapping

from models.rules.executions.schedule import Step
from workers.engine.values.attempt import StepAttempt
from workers.engine.values.events import AttemptTimer


class Timers:
    """Events of the attempts in `current`, each due at its time. Owned by one thread."""

    def __init__(self, current: Mapping[Step, StepAttempt]) -> None:
        self._current = current
        self._heap: list[tuple[float, int, AttemptTimer]] = []
        self._order = itertools.count()

    def after(self, seconds: float, event: AttemptTimer) -> None:
        """Schedule an event in so many seconds."""
        heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._order), event))

    def next_due(self) -> AttemptTimer | None:
        """Take the next event that is due, None without one."""
        self._forget_stale()
        if self._heap and self._heap[0][0] <= time.monotonic():
            return heapq.heappop(self._heap)[2]
        return None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the next event, or None."""
        self._forget_stale()
        return max(0.0, self._heap[0][0] - time.monotonic()) if self._heap else None

    def _forget_stale(self) -> None:
        while self._heap and self._current.get(self._heap[0][2].attempt.step) is not self._heap[0][2].attempt:
            heapq.heappop(self._heap)
