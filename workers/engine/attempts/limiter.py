"""Adaptive concurrency limits of providers' accounts (AIMD), shared by all runs of this process.

A limit grows by one for every round of successful calls and is halved after a refusal; no call starts during a pause
that the provider asked for. Queued calls hold no thread and leave the queue at once when cancelled. Users are served
round robin, and the oldest call of a user comes first. With other processes the limits are shared by `LimitSharing`,
which tells how many places of each this process has.
"""

import heapq
import itertools
import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

import threads
from models.rules.graph.effects import EffectResult
from models.rules.graph.graph import MAX_DELAY_SECONDS
from models.rules.prices.pricing import Provider
from workers.engine.attempts.provider_queue import UNSHARED, Demand, Grant, ProviderQueue
from workers.engine.values.queued_calls import LimitKey, QueuedCall
from workers.gateways.base import CallFailed

log = structlog.get_logger()

FIRST_LIMIT = 8.0  # concurrent calls of a new account
MAX_CALLS = 64  # concurrent calls of any account
LONG_PAUSE = 20.0  # seconds; for a longer pause queued calls are postponed
MIN_BACKOFF, MAX_BACKOFF = 0.25, 30.0  # seconds, when a provider does not say how long
KEPT_SECONDS = 600.0  # for which the limit of an idle account is kept
REFUSALS = frozenset(["rate_limited", "provider_overloaded"])  # nothing was done; retry later
OUTAGES = frozenset(["openclaw_unreachable", "openclaw_unavailable", "openclaw_closed"])  # the gateway did nothing
OUTAGE_PAUSE = 25.0  # seconds that a turn is then parked, after its gateway was tried for a minute
CONGESTION = REFUSALS | {"openclaw_rate_limited", "openclaw_overloaded"}


class AdaptiveLimiter:
    """Starts queued calls within the limits. Thread-safe; `start` and `postpone` of a call run in any thread."""

    def __init__(
        self, maximum: Mapping[Provider, int] | None = None, *, on_demand: Callable[[LimitKey], None] | None = None
    ) -> None:
        """`on_demand` is told when places are needed or free; without it all of a limit belongs to this process."""
        self._maxima = maximum or {}
        self._on_demand = on_demand
        self._queues: dict[LimitKey, ProviderQueue] = {}
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threads.keep_running("limiter", self._run, may_fail_again=False)

    def enter(self, call: QueuedCall) -> None:
        """Start the call as soon as its limit allows, perhaps before this returns."""
        with self._changed:
            queue = self._queue(call.key)
            pause = queue.paused_until - time.monotonic()
            if call.continues:
                ready = [self._begin(queue, call)]
            elif pause > LONG_PAUSE:
                call.cancelled, ready = True, []
            else:
                calls = queue.waiting.setdefault(call.user_id, [])
                heapq.heappush(calls, (call.since, next(self._order), call))
                self._changed.notify()
                ready = self._pop_ready(queue)
        if call.cancelled:
            call.postpone(call, pause)
        self._start(ready)
        if call.started is None or call.continues:
            self._demand(call.key)

    def leave(self, call: QueuedCall) -> bool:
        """Leave the queue; False when the call has started already."""
        with self._changed:
            left = call.started is None and not call.cancelled
            call.cancelled = True
            return left

    def done(self, call: QueuedCall, outcome: EffectResult | CallFailed) -> None:
        """Record that a call ended, with its result; None when it was not made. Repeats are ignored."""
        away: list[QueuedCall] = []
        with self._changed:
            if call.released:  # starting its thread reported a failure, but the call was made all the same
                return
            call.released = True
            queue, now = self._queues[call.key], time.monotonic()
            queue.end_call()
            if isinstance(outcome, CallFailed):
                away = self._failed(queue, call, outcome, now)
            elif outcome is not None:
                self._went_well(queue, call, now)
            pause = queue.paused_until - now
            ready = self._pop_ready(queue)
        for other in away:
            other.postpone(other, pause)
        self._start(ready)
        self._demand(call.key)

    def demands(self, keys: Collection[LimitKey] | None = None) -> dict[LimitKey, Demand]:
        """What this process wants of these limits, or of all. What it learned about them is told once."""
        now = time.monotonic()
        with self._changed:
            used = {key: queue for key, queue in self._queues.items() if queue.places or queue.waiting}
            return {key: queue.demand(now) for key, queue in used.items() if keys is None or key in keys}

    def grant(self, key: LimitKey, grant: Grant) -> None:
        """Use the places that are granted, and what other processes learned about the limit."""
        with self._changed:
            queue, now = self._queue(key), time.monotonic()
            queue.take(grant, now)
            away = _sent_away(queue) if grant.pause > LONG_PAUSE else []
            ready = self._pop_ready(queue)
            self._changed.notify()
        for other in away:
            other.postpone(other, grant.pause)
        self._start(ready)

    def _demand(self, key: LimitKey) -> None:
        if self._on_demand:
            self._on_demand(key)

    def expected_wait(self, key: LimitKey) -> float:
        """Estimated seconds until the last call in the queue starts."""
        with self._changed:
            queue = self._queue(key)
            return max(0.0, queue.paused_until - time.monotonic()) + len(queue) * queue.call_seconds / queue.limit

    def snapshot(self) -> dict[LimitKey, tuple[int, int, int]]:
        """For each key: the numbers of calls allowed, in progress, and queued."""
        with self._changed:
            return {key: (queue.room, queue.busy, len(queue)) for key, queue in self._queues.items()}

    def by_provider(self) -> dict[Provider, dict[str, int]]:
        """The same, summed over the accounts of each provider."""
        totals: dict[Provider, Counter[str]] = defaultdict(Counter)
        for key, (allowed, under_way, queued) in self.snapshot().items():
            totals[key.provider].update(allowed=allowed, under_way=under_way, queued=queued)
        return {provider: dict(states) for provider, states in totals.items()}

    def stop(self) -> None:
        """End the thread; queued calls stay queued."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _queue(self, key: LimitKey) -> ProviderQueue:
        if key not in self._queues:
            self._forget_idle()
            maximum = self._maxima.get(key.provider, MAX_CALLS)
            # The gateway's capacity is configured, an account's is unknown.
            first = float(maximum) if key.owner is None else min(FIRST_LIMIT, float(maximum))
            places = UNSHARED if self._on_demand is None else 0
            self._queues[key] = ProviderQueue(limit=first, maximum=maximum, growing_fast=True, places=places)
        return self._queues[key]

    def _forget_idle(self) -> None:
        long_ago = time.monotonic() - KEPT_SECONDS
        idle = [key for key, queue in self._queues.items() if queue.used_at < long_ago and not queue.busy + len(queue)]
        for key in idle:
            del self._queues[key]

    def _pop_ready(self, queue: ProviderQueue) -> list[QueuedCall]:
        """Take the calls that may start now; they count as in progress."""
        now = queue.used_at = time.monotonic()
        ready: list[QueuedCall] = []
        while queue.busy < queue.room and queue.paused_until <= now and (call := queue.pop_next()):
            ready.append(self._begin(queue, call))
        return ready

    def _begin(self, queue: ProviderQueue, call: QueuedCall) -> QueuedCall:
        call.started = queue.used_at = time.monotonic()
        queue.busy += 1
        return call

    def _went_well(self, queue: ProviderQueue, call: QueuedCall, now: float) -> None:
        queue.consecutive_refusals = 0
        queue.call_seconds += 0.2 * (now - (call.started or now) - queue.call_seconds)
        if (call.started or now) >= queue.halved_at and queue.is_used_up:  # it began under the present limit
            queue.grow()

    def _failed(self, queue: ProviderQueue, call: QueuedCall, failure: CallFailed, now: float) -> list[QueuedCall]:
        """Halve the limit once for all concurrent calls; return the calls to postpone."""
        if failure.code not in CONGESTION:
            return []
        queue.growing_fast = False
        asked = failure.retry_after
        if (call.started or now) >= queue.halved_at:
            queue.halve(now, is_configured=call.key.owner is None)
            if asked is None and failure.code in REFUSALS:
                asked = min(MAX_BACKOFF, MIN_BACKOFF * 2.0 ** (queue.consecutive_refusals - 1))
                asked *= 0.5 + random.random() / 2
            log.info("limiter.halved", provider=call.key.provider, limit=int(queue.limit), code=failure.code)
        if asked is None or failure.code not in REFUSALS:
            return []
        queue.paused_until = max(queue.paused_until, now + min(asked, MAX_DELAY_SECONDS))
        self._changed.notify()
        if queue.paused_until - now <= LONG_PAUSE:
            return []
        away = _sent_away(queue)
        log.warning("limiter.paused", provider=call.key.provider, seconds=round(asked), sent_away=len(away))
        return away

    def _run(self) -> None:
        """Start calls whose provider's pause is over."""
        while True:
            with self._changed:
                if self._stopping:
                    return
                now = time.monotonic()  # before it looks, so that a pause that ends meanwhile is waited for, not missed
                ready = [call for queue in self._queues.values() if queue.waiting for call in self._pop_ready(queue)]
                if not ready:
                    pauses = [queue.paused_until - now for queue in self._queues.values() if queue.waiting]
                    self._changed.wait(min((pause for pause in pauses if pause > 0), default=None))
            self._start(ready)

    def _start(self, ready: Iterable[QueuedCall]) -> None:
        """Start all of them; one that fails to start does not affect the others."""
        starting = deque(ready)
        while starting:
            call = starting.popleft()
            try:
                call.start(call)
            except Exception:
                threads.report_failure("limiter")
                starting.extend(self._release(call))
                call.postpone(call, LONG_PAUSE)

    def _release(self, call: QueuedCall) -> list[QueuedCall]:
        """Free the slot of a call that did not start; return the calls that may start now."""
        with self._changed:
            if call.released:
                return []
            call.released = True
            queue = self._queues[call.key]
            queue.end_call()
            return self._pop_ready(queue)


def _sent_away(queue: ProviderQueue) -> list[QueuedCall]:
    """Empty the queue; returns the calls that waited, which are to be postponed."""
    away = [waiting for calls in queue.waiting.values() for *_, waiting in calls if not waiting.cancelled]
    queue.waiting.clear()
    for other in away:
        other.cancelled = True
    return away
