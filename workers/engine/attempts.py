"""The effects of one run that are under way: started on a pool, repeated with back-off, stopped when asked."""

import heapq
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from threading import Event
from typing import Any

import structlog

from models.errors import LeaseLost
from models.rules.effects import AgentTurn, Answer, Call
from models.rules.graph import Retry
from models.rules.kinds import NodeCall
from models.rules.retries import delay
from models.rules.schedule import Step
from models.rules.states import NodeStatus
from models.services.api_calls import CallsUsed
from models.services.journal import NodeRow, Progress
from models.services.leases import Lease
from workers.engine import clock
from workers.engine.performer import Attempt, Performs
from workers.engine.quota import Allowance
from workers.engine.recorder import OnFlushed, Recorder
from workers.gateways.base import CallFailed, Cancel

Json = Any
Post = Callable[[Callable[[], None]], None]
OnEnd = Callable[["Running", Answer | CallFailed], None]
OnPatience = Callable[["Running", float, str], None]  # seconds until the next attempt, and why
OnShortage = Callable[["Running", CallsUsed], None]
log = structlog.get_logger()

STOPPERS = ThreadPoolExecutor(16, thread_name_prefix="stopping")
LONG_PAUSE = 20.0  # seconds; a longer back-off is waited for as a row, not by a driver


@dataclass
class Running:
    """One step whose effect is under way or waits for its next attempt."""

    step: Step
    call: NodeCall
    effect: Call
    retry: Retry
    attempt: int = 1
    started_at: datetime = field(default_factory=clock.now)
    external_ref: Json = None
    left_behind: Json = None
    cancel: Cancel = field(default_factory=Cancel)
    last_state: str = ""
    sent: bool = False  # its start is, or is being, stored: from here on it may have happened

    @property
    def is_irrevocable(self) -> bool:
        """Whether nobody could tell what became of it if it were cut off now. A turn is found again in its gateway."""
        return self.sent and self.call.node.on_crash == "fail" and not isinstance(self.effect, AgentTurn)

    def row(self, status: NodeStatus, **changes: Any) -> NodeRow:
        """This step's state as it is recorded."""
        row = NodeRow(self.step, status, self.attempt, self.started_at, external_ref=self.external_ref)
        return replace(row, **changes)


class Attempts:
    """Owned by the driver's thread; what pool threads find out comes back through `post`."""

    def __init__(
        self,
        lease: Lease,
        recorder: Recorder,
        performer: Performs,
        pool: Executor,
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
        self._post = post
        self._on_end = on_end
        self._on_patience = on_patience
        self._on_shortage = on_shortage
        self._allowance = Allowance(lease)
        self._running: dict[Step, Running] = {}
        self._timers: list[tuple[float, int, Running]] = []
        self._order = itertools.count()
        self._closed = False

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Running]:
        return iter(list(self._running.values()))

    def launch(self, running: Running) -> None:
        """Start the first attempt, or the one that an earlier driver left behind."""
        self._running[running.step] = running
        self._recorder.event("node.started", f"{running.call.node.label} started.", step=running.step)
        self._submit(running)

    def drop(self, running: Running) -> None:
        """Forget a step that is settled; a late answer finds nobody."""
        self._running.pop(running.step, None)

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
            if not isinstance(running.effect, AgentTurn) and running not in but:
                running.cancel.set()

    def _set_aside(self, running: Running) -> None:
        """Leave it to another driver, which must see that nothing is under way if it may not repeat what is."""
        self.drop(running)
        if running.call.node.on_crash == "fail" and running.attempt > 1 and not isinstance(running.effect, AgentTurn):
            self._recorder.node(running.row(NodeStatus.PENDING))

    def wake(self) -> float | None:
        """Start the attempts that are due; seconds until the next one, or None."""
        while self._timers:
            due, _, running = self._timers[0]
            if running.step in self._running and due > time.monotonic():
                return due - time.monotonic()
            heapq.heappop(self._timers)
            if self._running.get(running.step) is running:
                self._submit(running)
        return None

    def _submit(self, running: Running) -> None:
        self._pool.submit(self._perform, running, running.attempt)

    def _perform(self, running: Running, number: int) -> None:
        """In a pool thread: one attempt."""
        attempt = Attempt(
            execution_id=self._lease.execution_id,
            user_id=self._lease.user_id,
            step=running.step,
            number=number,
            cancel=running.cancel,
            announce=partial(self._announce, running),
            on_status=lambda state, data: self._post(partial(self._note_status, running, state, data)),
            left_behind=running.left_behind,
        )
        try:
            is_new = number == 1 and not running.left_behind
            if is_new and (short := self._allowance.shortage(running.step, running.cancel)):
                self._post(partial(self._short, running, short))
                return
            if running.left_behind:
                self._announce(running, running.left_behind)
            outcome: Answer | CallFailed = self._performer.perform(running.effect, attempt)
        except CallFailed as error:
            outcome = error
        except LeaseLost:
            return  # the driver has been told by the journal
        except Exception as error:
            log.exception("node.crashed", execution_id=str(self._lease.execution_id), node_id=running.step.node_id)
            outcome = CallFailed("internal_error", f"This node failed inside the service ({type(error).__name__}).")
        self._post(partial(self._ended, running, outcome))

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
        if self._closed or self._running.get(running.step) is not running:
            running.cancel.set()
            return
        running.sent, running.external_ref = True, reference
        self._recorder.node(running.row(NodeStatus.RUNNING, is_call=True))
        self._recorder.flush(on_flushed)

    def _note_status(self, running: Running, state: str, data: Mapping[str, Json]) -> None:
        if self._running.get(running.step) is running and state != running.last_state:
            running.last_state = state
            self._recorder.event(f"node.{state}", f"{running.call.node.label}: {state}.", step=running.step, data=data)

    def _short(self, running: Running, shortage: CallsUsed) -> None:
        if self._running.get(running.step) is running:
            self._on_shortage(running, shortage)

    def _ended(self, running: Running, outcome: Answer | CallFailed) -> None:
        if self._running.get(running.step) is not running:
            return  # given up meanwhile
        if isinstance(outcome, CallFailed) and self._may_repeat(running, outcome):
            pause = delay(running.retry, running.attempt, chance=random.random(), asked=outcome.retry_after)
            self._recorder.event(
                "node.retrying",
                f"{running.call.node.label} failed: {outcome.detail} Next attempt in {pause:.1f} s.",
                step=running.step,
                level="warning",
                data={"code": outcome.code, "attempt": running.attempt, "delay": round(pause, 3)},
            )
            running.attempt += 1
            running.left_behind = running.external_ref = None
            running.last_state, running.sent = "", False
            if self._closed:
                self._set_aside(running)
            elif pause > LONG_PAUSE:
                self._on_patience(running, pause, outcome.detail)
            else:
                heapq.heappush(self._timers, (time.monotonic() + pause, next(self._order), running))
            return
        self._on_end(running, outcome)

    def _may_repeat(self, running: Running, failure: CallFailed) -> bool:
        if failure.outcome == "unknown" and running.call.node.on_crash == "fail":
            return False
        return failure.retryable and running.attempt < running.retry.max_attempts
