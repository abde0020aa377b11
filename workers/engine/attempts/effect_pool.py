"""Performs the attempts of one run, and posts their results.

The event loop of the process sends HTTP calls as soon as their start is stored, or while it is being stored if they
only read; they need no thread. Provider calls and agent turns, which take seconds, have a thread of a pool each.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock
from typing import ParamSpec, cast

import structlog

from models.errors import LeaseLost
from models.rules.graph.effects import AgentTurn, EffectResult, HttpCall, ModelCall
from models.serialization import Json
from models.services.credits.api_calls import CallsUsed
from models.services.orchestration.leases import Lease
from workers.engine.attempts import call_spans, late_effects
from workers.engine.attempts.api_call_quota import ApiCallQuota
from workers.engine.attempts.effect_executor import AttemptContext, EffectExecutor, OnEnd
from workers.engine.attempts.limiter import AdaptiveLimiter
from workers.engine.values.attempt import StepAttempt
from workers.engine.values.events import (
    AttemptEnded,
    AttemptResult,
    AttemptStarting,
    AttemptStatusChanged,
    CallAllowed,
    Post,
    StartReceipt,
)
from workers.engine.values.queued_calls import QueuedCall
from workers.gateways.base import CallFailed

P = ParamSpec("P")
Stored = SimpleQueue[Exception | None]
log = structlog.get_logger()


class EffectPool:
    """Starts attempts and posts their results; nothing here blocks the caller. Thread-safe."""

    def __init__(
        self, lease: Lease, executor: EffectExecutor, pool: Executor, limiter: AdaptiveLimiter, post: Post
    ) -> None:
        self._lease = lease
        self._executor = executor
        self._pool = pool
        self._limiter = limiter
        self._post = post
        self._quota = ApiCallQuota(lease)
        self._ids = copy_context()  # of the run, for what other threads log
        self._closing = Lock()
        self._refuses_starts = False
        self._is_over = False

    # HTTP calls

    def may_call(self, attempt: StepAttempt) -> bool:
        """Whether a call may be sent at once; otherwise `CallAllowed` or the attempt's end is posted later."""
        if self._quota.take_free():
            return True
        self._submit(self._ask, attempt)
        return False

    def give_back(self, attempt: StepAttempt) -> None:
        """Undo the count of a call that is not sent."""
        self._submit(self._quota.take_back, attempt.step, attempt.request)

    def receipt(self, attempt: StepAttempt) -> StartReceipt:
        """The receipt for the start of a call, which sends it."""
        if not attempt.may_be_early:
            return StartReceipt(partial(self.send_stored, attempt))
        early = EarlyCall(
            partial(self._send, attempt), partial(self.send_stored, attempt), partial(self._end_sent, attempt)
        )
        return StartReceipt(early.start_stored, partial(self._send_early, early))

    def send_stored(self, attempt: StepAttempt, refused: Exception | None) -> None:
        """Send a call whose start the journal has stored, or `refused`; called in the journal's thread."""
        if isinstance(refused, LeaseLost) or (self._refuses_starts and not attempt.is_non_repeatable):
            return  # nothing was sent; the next driver sends it
        if refused:
            self._end(attempt, _failed(refused))
        else:
            self._send(attempt, partial(self._end_sent, attempt))

    def _send_early(self, call: "EarlyCall") -> None:
        if not self._refuses_starts:
            call.send()

    def _send(self, attempt: StepAttempt, on_end: OnEnd) -> None:
        call = cast("HttpCall", attempt.effect)
        span = call_spans.begin(call, attempt.traceparent, attempt.request)

        def end(result: EffectResult | Exception) -> None:  # in the event loop's thread
            call_spans.end(span, result)
            on_end(result)

        self._executor.send(call, self._context(attempt), end)

    def _ask(self, attempt: StepAttempt) -> None:
        """Ask whether the month's quota allows one more call; called in a thread of the pool."""
        try:
            short = self._quota.exhausted(attempt.step, attempt.request, attempt.cancel)
        except CallFailed as failure:
            self._end(attempt, failure)
        else:
            self._post(AttemptEnded(attempt, short) if short else CallAllowed(attempt))

    def _end_sent(self, attempt: StepAttempt, result: EffectResult | Exception) -> None:
        """End a call with the ids of its run in all that is logged; called in the loop's or the journal's thread."""
        self._ids.copy().run(self._end_call, attempt, result)

    def _end_call(self, attempt: StepAttempt, result: EffectResult | Exception) -> None:
        """Post the result of a call, which must not block."""
        if not isinstance(result, Exception):
            self._end(attempt, result)
        elif (failure := self._judged(attempt, result)).sent:
            self._end(attempt, failure)
        else:
            self._submit(self._end_unsent, attempt, failure)

    def _end_unsent(self, attempt: StepAttempt, failure: CallFailed) -> None:
        self._quota.take_back(attempt.step, attempt.request)
        self._end(attempt, failure)

    # Provider calls and agent turns

    def start(self, attempt: StepAttempt, call: QueuedCall | None = None) -> None:
        """Start an attempt; one with a queued call releases its slot when it ends."""
        self._ids.copy().run(self._pool.submit, self._perform, attempt, call)

    def start_queued(self, attempt: StepAttempt, call: QueuedCall) -> None:
        """Start an attempt that was queued; called in the thread that made room."""
        try:
            self.start(attempt, call)
        except RuntimeError:  # the pool is shut down, or no thread can be started
            self._limiter.done(call, None)

    def refuse_starts(self) -> None:
        """Send no more repeatable calls, because the driver leaves."""
        self._refuses_starts = True

    def close(self) -> None:
        """Treat results as late from now on, because the run has ended."""
        with self._closing:
            self._is_over = True

    def record_late(self, attempt: StepAttempt, result: AttemptResult) -> bool:
        """Add a result to the history if the run has ended; return whether it has."""
        if self._is_over:
            late_effects.record_late_result(self._lease, attempt, result)
        return self._is_over

    def _perform(self, attempt: StepAttempt, call: QueuedCall | None) -> None:
        """Make one attempt, then release its slot and post its result."""
        result: AttemptResult | None = None
        span = call_spans.begin(attempt.effect, attempt.traceparent, attempt.request)
        try:
            result = self._result(attempt)
        except LeaseLost:
            return  # the journal has told the driver
        finally:
            call_spans.end(span, result)
            if call:
                self._limiter.done(call, None if isinstance(result, CallsUsed) else result)
        self._end(attempt, result)

    def _end(self, attempt: StepAttempt, result: AttemptResult) -> None:
        with self._closing:
            if not self._is_over:
                self._post(AttemptEnded(attempt, result))
                return
        self._submit(late_effects.record_late_result, self._lease, attempt, result)

    def _submit(self, work: Callable[P, None], /, *args: P.args, **kwargs: P.kwargs) -> None:
        with suppress(RuntimeError):  # the pool is shut down with its process
            self._ids.copy().run(self._pool.submit, work, *args, **kwargs)

    def _result(self, attempt: StepAttempt) -> AttemptResult:
        context = self._context(attempt)
        try:
            if attempt.in_flight_ref:
                self._record_intent(attempt, attempt.in_flight_ref)
            elif short := self._quota.exhausted(attempt.step, context.number, attempt.cancel):
                return short
            return self._executor.perform(cast("ModelCall | AgentTurn", attempt.effect), context)
        except LeaseLost:
            raise
        except Exception as error:
            failure = self._judged(attempt, error)
            if not failure.sent:
                self._quota.take_back(attempt.step, context.number)
            return failure

    def _judged(self, attempt: StepAttempt, error: Exception) -> CallFailed:
        """The failure of the attempt that an exception of the executor means."""
        if not isinstance(error, CallFailed):
            node = {"execution_id": str(self._lease.execution_id), "node_id": attempt.step.node_id}
            log.error("node.crashed", exc_info=error, **node)
            return _failed(error)
        error.sent = attempt.sent and (error.sent or attempt.was_sent)
        return error

    def _context(self, attempt: StepAttempt) -> AttemptContext:
        return AttemptContext(
            execution_id=self._lease.execution_id,
            user_id=self._lease.user_id,
            step=attempt.step,
            number=attempt.request,
            cancel=attempt.cancel,
            record_intent=partial(self._record_intent, attempt),
            on_status=partial(self._post_status, attempt),
            in_flight_ref=attempt.in_flight_ref,
        )

    def _post_status(self, attempt: StepAttempt, state: str, data: Mapping[str, Json]) -> None:
        self._post(AttemptStatusChanged(attempt, state, data))

    def _record_intent(self, attempt: StepAttempt, reference: Json) -> None:
        """Wait until the attempt and its reference are stored."""
        stored: Stored = SimpleQueue()
        self._post(AttemptStarting(attempt, reference, StartReceipt(stored.put)))
        while True:
            try:
                refused = stored.get(timeout=0.2)
            except Empty:
                if self._refuses_starts and not attempt.is_non_repeatable:
                    raise LeaseLost from None
                if attempt.cancel.is_set:
                    sentence = "Cancelled before it was sent."
                    raise CallFailed("cancelled", sentence, outcome="cancelled", sent=False) from None
            else:
                if refused:
                    raise refused
                return


def _failed(error: Exception) -> CallFailed:
    return CallFailed("internal_error", f"This node failed inside the service ({type(error).__name__}).")


class EarlyCall:
    """A call that only reads: the driver may send it before the journal has its start, else the journal sends it.

    The result of one that was sent early waits until its start is stored, so that nothing follows from a call that
    the journal does not know.
    """

    def __init__(
        self, send: Callable[[OnEnd], None], on_stored: Callable[[Exception | None], None], on_end: OnEnd
    ) -> None:
        """`on_stored` sends or fails a call that was not sent early; `on_end` gets the result of one that was."""
        self._send = send
        self._on_stored = on_stored
        self._on_end = on_end
        self._is_sent = False
        self._is_stored = False
        self._result: EffectResult | Exception | None = None
        self._has_ended = False
        self._meeting = Lock()  # of the end and the confirmed start, which come in two threads

    def send(self) -> None:
        """Send it before its start is stored."""
        self._is_sent = True
        self._send(self._end)

    def start_stored(self, refused: Exception | None) -> None:
        """Hear that its start is stored; the result of one that was refused is never passed on."""
        if refused or not self._is_sent:
            self._on_stored(refused)
            return
        with self._meeting:
            self._is_stored = True
            if not self._has_ended:
                return
        self._on_end(self._result)

    def _end(self, result: EffectResult | Exception) -> None:
        with self._meeting:
            self._result, self._has_ended = result, True
            if not self._is_stored:
                return
        self._on_end(result)
