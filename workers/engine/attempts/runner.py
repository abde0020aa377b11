"""The effects of one run in progress: queued, started on a pool, retried with back-off, stopped on request."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.effects import AgentTurn, EffectResult
from models.rules.prices.charging import FREE
from models.serialization import Json
from models.services.credits.api_calls import CallsUsed
from models.services.orchestration.leases import Lease, PastStep
from workers import metrics
from workers.engine.attempts import late_effects, resumption
from workers.engine.attempts.effect_pool import EffectPool
from workers.engine.attempts.limiter import LONG_PAUSE
from workers.engine.attempts.limiter_queue import LimiterQueue
from workers.engine.attempts.resources import EngineResources
from workers.engine.attempts.retry_policy import RetryDecision, after_failed_call
from workers.engine.attempts.timers import Timers
from workers.engine.journal.progress_buffer import ProgressBuffer
from workers.engine.values import clock
from workers.engine.values.attempt import StepAttempt
from workers.engine.values.events import (
    AttemptResult,
    NodeDeadlinePassed,
    Post,
    QueueTimePassed,
    RetryDue,
    StartReceipt,
)
from workers.engine.values.queued_calls import QueuedCall, limit_key
from workers.engine.values.wait_reasons import Backoff, QuotaReset, WaitReason
from workers.gateways.base import CallFailed


@dataclass(frozen=True)
class AttemptFinished:
    """The last attempt of a step ended."""

    result: EffectResult | CallFailed


class AttemptRunner:
    """Owned by the driver's thread. Pool threads, the limiter and timers report to the driver by events."""

    def __init__(self, lease: Lease, buffer: ProgressBuffer, resources: EngineResources, post: Post) -> None:
        self._lease = lease
        self._buffer = buffer
        self._executor = resources.executor
        self._cancel_pool = resources.cancel_pool
        self._running: dict[Step, StepAttempt] = {}
        self._timers = Timers(self._running)
        self._effects = EffectPool(lease, resources.executor, resources.pool, resources.limiter, post)
        self._queue = LimiterQueue(resources.limiter, self._effects, post)
        self._is_leaving = False

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[StepAttempt]:
        return iter(list(self._running.values()))

    @property
    def timers(self) -> Timers:
        """The timed events of the attempts."""
        return self._timers

    @property
    def has_non_repeatable(self) -> bool:
        """Whether a result is worth waiting for at shutdown, because its call must not be repeated."""
        return any(attempt.is_non_repeatable for attempt in self)

    def launch(self, attempt: StepAttempt) -> None:
        """Start the first attempt, or resume the one that an earlier driver left in progress."""
        self._running[attempt.step] = attempt
        attempt.traceparent = self._buffer.spans.begin(attempt.step, attempt.call.node)
        self._buffer.event("node.started", f"{attempt.call.node.label} started.", step=attempt.step)
        if attempt.ends_at:
            left = (attempt.ends_at - clock.now()).total_seconds()
            self._timers.after(left, NodeDeadlinePassed(attempt))
            if left <= 0:
                return
        self.submit(attempt)

    def submit(self, attempt: StepAttempt) -> None:
        """Start the next try, as soon as its provider's limit allows."""
        if (key := limit_key(attempt.effect, self._lease.user_id)) is None:
            if self._effects.may_call(attempt):
                self.send(attempt)
            return
        call = self._queue.enter(attempt, key, self._lease.user_id)
        if call.started is None:
            self.note_status(attempt, "queued", {"for": key.provider})
            self._timers.after(LONG_PAUSE, QueueTimePassed(attempt, call))

    def retry(self, event: RetryDue) -> None:
        """Make the next try, after the pause."""
        if event.reattaches:
            self._effects.start(event.attempt)
        else:
            self.submit(event.attempt)

    def drop(self, attempt: StepAttempt) -> None:
        """Remove a step that is settled; a late result is recorded but not used."""
        self._running.pop(attempt.step, None)
        self._queue.leave(attempt)

    def stop(self, attempt: StepAttempt, *, charged: bool) -> None:
        """Give a step up: stop its call and record it as cancelled; with `charged` it is paid if it was sent."""
        self.drop(attempt)
        credits = attempt.due if charged else FREE
        self._buffer.node(attempt.row(NodeStatus.CANCELLED, finished_at=clock.now(), credits=credits))
        self._cancel_pool.submit(attempt.cancel.set)

    def expire(self, attempt: StepAttempt) -> AttemptFinished:
        """End a step whose attempts took too long together."""
        self.drop(attempt)
        self._cancel_pool.submit(attempt.cancel.set)
        sentence = "The node did not end before its deadline."
        return AttemptFinished(CallFailed("node_timed_out", sentence, sent=attempt.sent))

    def give_up_left_open(self, past: Mapping[Step, PastStep], *, charged: bool) -> None:
        """Give up steps that an earlier driver left open and this one has not reached."""
        for reference in resumption.give_up(past, self._buffer, charged=charged):
            self._cancel_pool.submit(self._executor.stop, reference)

    def begin_shutdown(self) -> None:
        """Start nothing more, and drop all attempts except those that must not be repeated."""
        self.cancel_repeatable(but=[attempt for attempt in self if attempt.is_non_repeatable])
        for attempt in self:
            if not attempt.is_non_repeatable:
                self._leave_to_next_driver(attempt)

    def cancel_repeatable(self, but: Sequence[StepAttempt] = ()) -> None:
        """Cancel calls that can be repeated under the same key; agent turns go on in their gateway."""
        self._is_leaving = True
        self._effects.refuse_starts()
        for attempt in self:
            self._queue.leave(attempt)
            if not isinstance(attempt.effect, AgentTurn) and attempt not in but:
                attempt.cancel.set()

    def close(self) -> None:
        """Treat results as late from now on, because the run has ended."""
        self._effects.close()

    def conclude(self, attempt: StepAttempt, result: AttemptResult) -> AttemptFinished | WaitReason | None:
        """Decide what follows an attempt: its step is finished, waits, or (None) goes on or has ended already."""
        if not isinstance(result, CallsUsed):
            metrics.attempt_ended(attempt.call.node, attempt.effect, result)
        if not attempt.is_safe:
            self._buffer.keep_first()
        if not self._is_current(attempt):
            if not self._effects.record_late(attempt, result):
                late_effects.record(self._buffer, attempt, result)
            return None
        if isinstance(result, CallsUsed):
            return self._set_aside(attempt, QuotaReset.of(result))
        if isinstance(result, CallFailed):
            decision = after_failed_call(attempt, result, chance=random.random())
            if decision.retries:
                return self._try_again(attempt, result, decision)
        return AttemptFinished(result)

    def park(self, attempt: StepAttempt, call: QueuedCall) -> WaitReason | None:
        """Park a step that has queued for long; return why it waits, None if its call has started."""
        reason = self._queue.park(attempt, call)
        return reason and self._set_aside(attempt, reason)

    def postpone(self, attempt: StepAttempt, call: QueuedCall, seconds: float) -> WaitReason | None:
        """Park a step whose provider asked for a long pause; return why it waits, None if that is outdated."""
        reason = self._queue.postpone(attempt, call, seconds)
        return reason and self._set_aside(attempt, reason)

    def send_allowed(self, attempt: StepAttempt) -> None:
        """Send an HTTP call that the quota allows and has counted, unless its step was given up meanwhile."""
        if self._is_current(attempt) or self._is_leaving:
            self.send(attempt)
        else:
            self._effects.give_back(attempt)

    def send(self, attempt: StepAttempt) -> None:
        """Send an HTTP call once its start is stored, or while it is being stored."""
        self.store_start(attempt, None, self._effects.receipt(attempt))

    def store_start(self, attempt: StepAttempt, reference: Json, receipt: StartReceipt) -> None:
        """Store with the next write that an attempt is about to be sent; the receipt is told then."""
        if self._is_leaving or not self._is_current(attempt):
            attempt.cancel.set()
            return
        attempt.sent, attempt.external_ref, attempt.queue = True, reference, None
        self._buffer.start(attempt.row(NodeStatus.RUNNING, request=attempt.request), receipt)

    def note_status(self, attempt: StepAttempt, state: str, data: Mapping[str, Json]) -> None:
        """Record a status of an attempt when it changes."""
        if self._is_current(attempt) and state != attempt.last_state:
            attempt.last_state = state
            self._buffer.event(f"node.{state}", f"{attempt.call.node.label}: {state}.", step=attempt.step, data=data)
            if row := attempt.queued({"for": data.get("for")} if state == "queued" else None):
                self._buffer.node(row)

    def _try_again(self, attempt: StepAttempt, failure: CallFailed, decision: RetryDecision) -> WaitReason | None:
        pause = decision.delay_seconds
        if decision.reattaches:
            attempt.last_state = ""
            self.note_status(attempt, "queued", {"for": "connection", "code": failure.code})
            self._timers.after(pause, RetryDue(attempt, reattaches=True))
            return None
        self._record_retry(attempt, failure, decision)
        if self._is_leaving:
            self._leave_to_next_driver(attempt)
        elif decision.parks:
            return self._set_aside(attempt, Backoff.after(pause, failure.detail))
        elif pause:
            self._timers.after(pause, RetryDue(attempt))
        else:
            self.submit(attempt)
        return None

    def _record_retry(self, attempt: StepAttempt, failure: CallFailed, decision: RetryDecision) -> None:
        number = attempt.number + decision.is_counted
        attempt.repeat(failure, is_counted=decision.is_counted)
        message = f"{attempt.call.node.label} failed: {failure.detail} {decision.sentence}"
        delay = round(decision.delay_seconds, 3)
        data = {"code": failure.code, "attempt": number, "delay": delay, "refused": attempt.throttled}
        self._buffer.event("node.retrying", message, step=attempt.step, level="warning", data=data)
        self._buffer.node(attempt.row(NodeStatus.RUNNING))  # nothing is in progress and nothing is due

    def _set_aside(self, attempt: StepAttempt, reason: WaitReason) -> WaitReason:
        """Let its step wait as a row, until its deadline at the latest."""
        self.drop(attempt)
        attempt.set_aside()
        return reason.at_latest(attempt.ends_at)

    def _leave_to_next_driver(self, attempt: StepAttempt) -> None:
        """Leave it to another driver; for a call that must not be repeated, record that none is in progress."""
        self.drop(attempt)
        if attempt.call.node.on_crash == "fail" and attempt.number > 1 and not isinstance(attempt.effect, AgentTurn):
            self._buffer.node(attempt.row(NodeStatus.PENDING))

    def _is_current(self, attempt: StepAttempt) -> bool:
        return self._running.get(attempt.step) is attempt
