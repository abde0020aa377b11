"""The effects of one run that are under way: in line, started on a pool, repeated with back-off, stopped when asked."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any

import structlog

from models.errors import LeaseLost
from models.rules.effects import AgentTurn, Answer
from models.rules.retries import delay
from models.rules.schedule import Step
from models.rules.states import NodeStatus
from models.services.api_calls import CallsUsed
from models.services.journal import Progress
from models.services.leases import Lease
from workers.engine import clock, late
from workers.engine.limiter import LONG_PAUSE, REFUSALS, Limiter, Ticket, lane_of
from workers.engine.performer import Attempt, Performs
from workers.engine.places import Places
from workers.engine.quota import Allowance
from workers.engine.recorder import OnFlushed, Recorder
from workers.engine.running import Running
from workers.engine.timers import Timers
from workers.gateways.base import CallFailed

Json = Any
Post = Callable[[Callable[[], None]], None]
Outcome = Answer | CallFailed | CallsUsed
Action = Callable[[Running], None]
OnEnd = Callable[[Running, Answer | CallFailed], None]
OnPatience = Callable[[Running, float, str], None]  # seconds until the next attempt, and why
OnShortage = Callable[[Running, CallsUsed], None]
log = structlog.get_logger()

STOPPERS = ThreadPoolExecutor(16, thread_name_prefix="stopping")
FREE_REFUSALS = 20  # of a provider with too much to do, which do not count as attempts


class Attempts:
    """Owned by the driver's thread; what pool threads find out comes back through `post`."""

    def __init__(
        self,
        lease: Lease,
        recorder: Recorder,
        performer: Performs,
        pool: Executor,
        limiter: Limiter,
        *,
        post: Post,
        on_end: OnEnd,
        on_patience: OnPatience,
        on_shortage: OnShortage,
    ) -> None:
        self._lease = lease
        self._recorder = recorder
        self._performer = performer
        self._pool = pool
        self._limiter = limiter
        self._post = post
        self._on_end = on_end
        self._on_patience = on_patience
        self._on_shortage = on_shortage
        self._allowance = Allowance(lease)
        self._running: dict[Step, Running] = {}
        self._timers = Timers[Running](self._is_current)
        self._places = Places(limiter, start=self._start, post=post, on_patience=on_patience)
        self._closed = False
        self._retiring = Lock()
        self._over = False  # the run has ended: what comes now comes too late

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Running]:
        return iter(list(self._running.values()))

    def launch(self, running: Running) -> None:
        """Start the first attempt, or the one that an earlier driver left behind."""
        self._running[running.step] = running
        self._recorder.event("node.started", f"{running.call.node.label} started.", step=running.step)
        if running.ends_at:
            left = (running.ends_at - clock.now()).total_seconds()
            self._timers.after(left, running, self._expire)
            if left <= 0:
                return
        self._submit(running)

    def drop(self, running: Running) -> None:
        """Forget a step that is settled; a late answer is told, and counts for nothing."""
        self._running.pop(running.step, None)
        self._places.leave(running)

    def stop(self, running: Running) -> None:
        """Give a step up: stop its call and record it as cancelled."""
        self.drop(running)
        self._recorder.node(running.row(NodeStatus.CANCELLED, finished_at=clock.now()))
        # Stopping may talk to a gateway, and the pool may be full of calls that wait to be stopped.
        STOPPERS.submit(running.cancel.set)

    @property
    def irrevocable(self) -> bool:
        """Whether an answer is worth staying for, because nobody may ask again."""
        return any(running.is_irrevocable for running in self)

    def withdraw(self) -> None:
        """The process leaves: start nothing more, and forget all but what nobody may ask again."""
        self.detach(but=[running for running in self if running.is_irrevocable])
        for running in self:
            if not running.is_irrevocable:
                self._set_aside(running)

    def detach(self, but: Sequence[Running] = ()) -> None:
        """Cut what can be repeated under the same key. Agent turns go on in their gateway."""
        self._closed = True
        for running in self:
            self._places.leave(running)
            if not isinstance(running.effect, AgentTurn) and running not in but:
                running.cancel.set()

    def _set_aside(self, running: Running) -> None:
        """Leave it to another driver, which must see that nothing is under way if it may not repeat what is."""
        self.drop(running)
        if running.call.node.on_crash == "fail" and running.attempt > 1 and not isinstance(running.effect, AgentTurn):
            self._recorder.node(running.row(NodeStatus.PENDING))

    def retire(self, inbox: SimpleQueue[Callable[[], None]]) -> None:
        """The run has ended: from now on results are late, and so are those that nobody has heard yet."""
        with self._retiring:
            self._over = True
        while not inbox.empty():
            inbox.get_nowait()()

    def wake(self) -> float | None:
        """Do what is due, such as the next attempt; seconds until there is more to do, or None.

        Zero after something was done: the run may stand elsewhere now.
        """
        return self._timers.act()

    def _is_current(self, running: Running) -> bool:
        return self._running.get(running.step) is running

    def _expire(self, running: Running) -> None:
        """All attempts together took too long."""
        self.drop(running)
        STOPPERS.submit(running.cancel.set)
        self._on_end(running, CallFailed("node_timed_out", "The node did not end before its deadline."))

    def _submit(self, running: Running) -> None:
        if (lane := lane_of(running.effect, self._lease.user_id)) is None:
            self._start(running)
            return
        if not self._places.take(running, lane, self._lease.user_id):
            self._note_status(running, "queued", {"for": lane.provider})
            self._timers.after(LONG_PAUSE, running, partial(self._places.step_aside, ticket=running.ticket))

    def _start(self, running: Running, ticket: Ticket | None = None) -> None:
        self._pool.submit(self._perform, running, ticket)

    def _perform(self, running: Running, ticket: Ticket | None = None) -> None:
        """In a pool thread: one attempt, which makes room for another when it is over."""
        outcome: Outcome | None = None
        try:
            outcome = self._outcome(running)
        except LeaseLost:
            return  # the driver has been told by the journal
        finally:
            if ticket:
                self._limiter.done(ticket, None if isinstance(outcome, CallsUsed) else outcome)
        with self._retiring:
            if not self._over:
                self._post(partial(self._ended, running, outcome))
                return
        late.tell(self._lease, running, outcome)

    def _outcome(self, running: Running) -> Outcome:
        attempt = Attempt(
            execution_id=self._lease.execution_id,
            user_id=self._lease.user_id,
            step=running.step,
            number=running.attempt + running.refused,
            cancel=running.cancel,
            announce=partial(self._announce, running),
            on_status=lambda state, data: self._post(partial(self._note_status, running, state, data)),
            left_behind=running.left_behind,
        )
        try:
            is_new = attempt.number == 1 and not running.left_behind
            if is_new and (short := self._allowance.shortage(running.step, running.cancel)):
                return short
            if running.left_behind:
                self._announce(running, running.left_behind)
            return self._performer.perform(running.effect, attempt)
        except CallFailed as error:
            return error
        except LeaseLost:
            raise
        except Exception as error:
            log.exception("node.crashed", execution_id=str(self._lease.execution_id), node_id=running.step.node_id)
            return CallFailed("internal_error", f"This node failed inside the service ({type(error).__name__}).")

    def _announce(self, running: Running, reference: Json) -> None:
        """In a pool thread: wait until the attempt and its reference are stored."""
        written = Event()
        failures: list[Exception] = []

        def on_flushed(progress: Progress, error: Exception | None) -> None:
            if error:
                failures.append(error)
                self._post(partial(self._recorder.refused, progress))
            written.set()

        self._post(partial(self._store_start, running, reference, on_flushed))
        while not written.wait(0.2):
            if self._closed and not running.is_irrevocable:
                raise LeaseLost
            if running.cancel.is_set:
                raise CallFailed("cancelled", "Cancelled before it was sent.", outcome="cancelled")
        if failures:
            raise failures[0]

    def _store_start(self, running: Running, reference: Json, on_flushed: OnFlushed) -> None:
        if self._closed or not self._is_current(running):
            running.cancel.set()
            return
        running.sent, running.external_ref = True, reference
        self._recorder.node(running.row(NodeStatus.RUNNING, is_call=True))
        self._recorder.flush(on_flushed)

    def _note_status(self, running: Running, state: str, data: Mapping[str, Json]) -> None:
        if self._is_current(running) and state != running.last_state:
            running.last_state = state
            self._recorder.event(f"node.{state}", f"{running.call.node.label}: {state}.", step=running.step, data=data)

    def _ended(self, running: Running, outcome: Outcome) -> None:
        if not self._is_current(running):
            if self._over:
                late.tell(self._lease, running, outcome)
            else:
                late.record(self._recorder, running, outcome)
        elif isinstance(outcome, CallsUsed):
            self._on_shortage(running, outcome)
        elif isinstance(outcome, CallFailed) and self._is_free(running, outcome):
            running.refused += 1
            self._again(running, outcome, 0.0, "Waits for its turn; this is not counted as an attempt.")
        elif isinstance(outcome, CallFailed) and self._may_repeat(running, outcome):
            pause = delay(running.retry, running.attempt, chance=random.random(), asked=outcome.retry_after)
            running.attempt += 1
            self._again(running, outcome, pause, f"Next attempt in {pause:.1f} s.")
        else:
            self._on_end(running, outcome)

    def _again(self, running: Running, failure: CallFailed, pause: float, what_next: str) -> None:
        message = f"{running.call.node.label} failed: {failure.detail} {what_next}"
        data = {"code": failure.code, "attempt": running.attempt, "delay": round(pause, 3), "refused": running.refused}
        self._recorder.event("node.retrying", message, step=running.step, level="warning", data=data)
        running.left_behind = running.external_ref = None
        running.last_state, running.sent = "", False
        if self._closed:
            self._set_aside(running)
        elif pause > LONG_PAUSE:
            self._on_patience(running, pause, failure.detail)
        elif pause:
            self._timers.after(pause, running, self._submit)
        else:
            self._submit(running)

    @staticmethod
    def _is_free(running: Running, failure: CallFailed) -> bool:
        """Whether the provider did nothing because it has too much to do: our haste is not the node's fault."""
        return running.ticket is not None and failure.code in REFUSALS and running.refused < FREE_REFUSALS

    def _may_repeat(self, running: Running, failure: CallFailed) -> bool:
        if failure.outcome == "unknown" and running.call.node.on_crash == "fail":
            return False
        return failure.retryable and running.attempt < running.retry.max_attempts
