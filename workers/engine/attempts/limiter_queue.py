"""The calls of one run in the queues of their providers."""

import random
from functools import partial
from uuid import UUID

from models.rules.graph.effects import AgentTurn
from models.rules.graph.graph import MAX_DELAY_SECONDS
from workers.engine.attempts.effect_pool import EffectPool
from workers.engine.attempts.limiter import LONG_PAUSE, AdaptiveLimiter
from workers.engine.values.attempt import StepAttempt
from workers.engine.values.events import CallPostponed, Post
from workers.engine.values.queued_calls import LimitKey, QueuedCall
from workers.engine.values.wait_reasons import Backoff


class LimiterQueue:
    """Owned by the driver's thread; a call starts in any thread that makes room."""

    def __init__(self, limiter: AdaptiveLimiter, effects: EffectPool, post: Post) -> None:
        self._limiter = limiter
        self._effects = effects
        self._post = post

    def enter(self, attempt: StepAttempt, key: LimitKey, user_id: UUID) -> QueuedCall:
        """Queue a call; it may have started already when this returns."""
        attempt.queued_call = QueuedCall(
            key,
            user_id,
            attempt.started_at,
            start=partial(self._effects.start_queued, attempt),
            postpone=partial(self._post_postponed, attempt),
            continues=isinstance(attempt.effect, AgentTurn) and bool(attempt.in_flight_ref),  # in its gateway
        )
        self._limiter.enter(attempt.queued_call)
        return attempt.queued_call

    def leave(self, attempt: StepAttempt) -> bool:
        """Leave the queue; False when the attempt is not queued."""
        call, attempt.queued_call = attempt.queued_call, None
        return call is not None and self._limiter.leave(call)

    def park(self, attempt: StepAttempt, call: QueuedCall) -> Backoff | None:
        """Leave a long queue and wait as a row, which frees the worker; by its age the call keeps its position."""
        if attempt.queued_call is not call or call.started is not None or not self.leave(attempt):
            return None
        seconds = min(max(LONG_PAUSE, self._limiter.expected_wait(call.key)), MAX_DELAY_SECONDS)
        return Backoff.after(seconds, f"{call.key.provider} is busy with earlier calls.")

    def postpone(self, attempt: StepAttempt, call: QueuedCall, seconds: float) -> Backoff | None:
        """The back-off for a long pause that the provider asked for; None if the attempt queued anew meanwhile."""
        if attempt.queued_call is not call:
            return None
        return Backoff.after(seconds * (1 + random.random() / 10), f"{call.key.provider} allows no calls for now.")

    def _post_postponed(self, attempt: StepAttempt, call: QueuedCall, seconds: float) -> None:
        self._post(CallPostponed(attempt, call, seconds))
