"""A stand-in for the internet in engine tests: it answers `api_call` nodes and records their calls."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from models.rules.executions.schedule import Step
from models.rules.graph.effects import HttpCall, HttpResponse
from models.serialization import Json
from workers.engine.attempts.effect_executor import AttemptContext, OnEnd
from workers.gateways.base import CallFailed

Behaviour = Callable[[HttpCall, AttemptContext], Json]


def in_thread(answer: Callable[[], HttpResponse], on_end: OnEnd) -> None:
    """Pass the result of `answer`, which may block, to `on_end`."""

    def work() -> None:
        try:
            result: HttpResponse | Exception = answer()
        except Exception as error:
            result = error
        on_end(result)

    threading.Thread(target=work, daemon=True).start()


class World:
    """Answers calls by the last part of their URL: `http://world/NAME`."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.attempts: list[AttemptContext] = []
        self.most_at_once = 0
        self.arrived = threading.Event()  # a call hangs
        self.release = threading.Event()
        self._now = 0
        self._lock = threading.Lock()
        self._behaviours: dict[str, Behaviour] = {}

    def on(self, name: str, behaviour: Behaviour) -> None:
        """Set the behaviour of calls of `name`; its result is the response's body."""
        self._behaviours[name] = behaviour

    def send(self, effect: HttpCall, attempt: AttemptContext, on_end: OnEnd) -> None:
        """Perform a call as the real executor does, without a network."""
        in_thread(lambda: self.perform(effect, attempt), on_end)

    def perform(self, effect: HttpCall, attempt: AttemptContext) -> HttpResponse:
        name = effect.url.rpartition("/")[2]
        with self._lock:
            self.calls[name] += 1
            self.attempts.append(attempt)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            behaviour = self._behaviours.get(name)
            return HttpResponse(200, {}, behaviour(effect, attempt) if behaviour else name)
        finally:
            with self._lock:
                self._now -= 1

    def stop(self, reference: Json) -> None:
        """Nothing goes on here after its driver, as with the real performer's HTTP calls."""

    def keys(self) -> list[tuple[Step, int]]:
        """The steps performed, with their attempt numbers, in order."""
        return [(attempt.step, attempt.number) for attempt in self.attempts]

    # Behaviours

    def hang(self, _: HttpCall, attempt: AttemptContext) -> Json:
        """Wait until released or cancelled."""
        self.arrived.set()
        while not self.release.is_set():
            if attempt.cancel.wait(0.01):
                raise CallFailed("cancelled", "Cancelled.", outcome="cancelled")
        return "released"

    @staticmethod
    def fail(times: int, *, retryable: bool = True) -> Behaviour:
        """Fail so many times, then succeed."""
        left = [times]

        def behave(_: HttpCall, __: AttemptContext) -> Json:
            if left[0]:
                left[0] -= 1
                raise CallFailed("http_503", "The service is away.", retryable=retryable)
            return "at last"

        return behave

    @staticmethod
    def slow(seconds: float) -> Behaviour:
        """Take so many seconds."""

        def behave(_: HttpCall, __: AttemptContext) -> Json:
            time.sleep(seconds)
            return "done"

        return behave
