"""A small world outside: what `api_call` nodes reach in engine tests, with a memory of what was asked of it."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from models.rules.effects import HttpAnswer, HttpCall
from models.rules.schedule import Step
from workers.engine.performer import Attempt
from workers.gateways.base import CallFailed

Json = Any
Behaviour = Callable[[HttpCall, Attempt], Json]


class World:
    """Answers calls by the last part of their address: `http://world/NAME`."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.attempts: list[Attempt] = []
        self.most_at_once = 0
        self.arrived = threading.Event()  # somebody hangs
        self.release = threading.Event()
        self._now = 0
        self._lock = threading.Lock()
        self._behaviours: dict[str, Behaviour] = {}

    def on(self, name: str, behaviour: Behaviour) -> None:
        """Let calls of `name` do as `behaviour` says; its result is the answer's body."""
        self._behaviours[name] = behaviour

    def perform(self, effect: HttpCall, attempt: Attempt) -> HttpAnswer:
        """What the real performer does, without a network."""
        attempt.announce(None)
        name = effect.url.rpartition("/")[2]
        with self._lock:
            self.calls[name] += 1
            self.attempts.append(attempt)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            behaviour = self._behaviours.get(name)
            return HttpAnswer(200, {}, behaviour(effect, attempt) if behaviour else name)
        finally:
            with self._lock:
                self._now -= 1

    def keys(self) -> list[tuple[Step, int]]:
        """Which step was performed with which attempt number, in order."""
        return [(attempt.step, attempt.number) for attempt in self.attempts]

    # Behaviours

    def hang(self, _: HttpCall, attempt: Attempt) -> Json:
        """Wait until released or cancelled."""
        self.arrived.set()
        while not self.release.is_set():
            if attempt.cancel.wait(0.01):
                raise CallFailed("cancelled", "Cancelled.", outcome="cancelled")
        return "released"

    @staticmethod
    def fail(times: int, *, retryable: bool = True) -> Behaviour:
        """Fail so often, then succeed."""
        left = [times]

        def behave(_: HttpCall, __: Attempt) -> Json:
            if left[0]:
                left[0] -= 1
                raise CallFailed("http_503", "The service is away.", retryable=retryable)
            return "at last"

        return behave

    @staticmethod
    def slow(seconds: float) -> Behaviour:
        """Take a while."""

        def behave(_: HttpCall, __: Attempt) -> Json:
            time.sleep(seconds)
            return "done"

        return behave
