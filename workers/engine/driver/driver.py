"""Drive one execution from the state in its journal to its end, or until it must wait.

All decisions are made in the driver's own thread; other threads and objects post events into its one inbox, and
`_dispatch` decides what follows. A node's result is stored before its successors may act on the outside world: the
start of every effect is a write that is awaited, and the journal is ordered, so everything before an effect is stored
before the effect is sent. A call that only reads acts on nothing: it is sent beside that write, and its result waits.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.db import session_scope
from models.errors import LeaseLost
from models.rules.executions.deadlines import run_timed_out
from models.rules.executions.schedule import Schedule, Step
from models.rules.executions.states import ExecutionStatus
from models.services.orchestration import leases
from models.services.orchestration.journal import Ending
from models.services.orchestration.leases import Lease, PastStep
from workers.engine.attempts.resources import EngineResources
from workers.engine.driver import outcomes
from workers.engine.driver.outcomes import DriveResult, Outcome
from workers.engine.driver.paused_steps import INLINE_WAIT_SECONDS
from workers.engine.driver.phases import DriverPhase, next_phase
from workers.engine.driver.steps import Steps
from workers.engine.journal.progress_buffer import ProgressBuffer
from workers.engine.values import clock, events
from workers.engine.values.compiled_workflow import CompiledWorkflow
from workers.engine.values.events import EndingStored, Event, ShutdownStored, WriteRefused
from workers.engine.values.outputs import RunTooLarge

log = structlog.get_logger()

LAST_RESULTS_SECONDS = 5.0  # how long a driver waits at shutdown for calls that must not be repeated


class ExecutionDriver:
    """Drives one execution; `run` blocks its thread, `post` may be called from any."""

    def __init__(
        self, lease: Lease, workflow: CompiledWorkflow, past: Mapping[Step, PastStep], resources: EngineResources
    ) -> None:
        self._lease = lease
        self._inbox: SimpleQueue[Event] = SimpleQueue()
        self._phase = DriverPhase.RUNNING
        self._outcome: Outcome | None = None  # why the run ends early
        self._result = DriveResult.LOST  # valid once the phase is LEFT
        self._shutdown_by: float | None = None  # monotonic; the end of waiting at shutdown
        schedule = Schedule(workflow.plan)
        in_tree, fee = bool(lease.depth or workflow.callers), workflow.price_list.fee
        self._buffer = ProgressBuffer(lease, resources.journal, schedule, self.post, in_tree=in_tree, fee=fee)
        self._steps = Steps(lease, workflow, past, schedule, self._buffer, resources, self.post)

    def post(self, event: Event) -> None:
        """Add an event to the inbox."""
        self._inbox.put(event)

    def run(self) -> DriveResult:
        """Drive until the execution is over, waits, was released, or belongs to another driver."""
        try:
            self._drive()
        except BaseException:
            self._steps.attempts.cancel_repeatable()  # nothing reads the inbox any more, and some threads wait for that
            raise
        finally:
            self._buffer.spans.close()
        if self._result is DriveResult.ENDED:
            self._steps.attempts.close()
            self._drain()  # late results
        return self._result

    def _drive(self) -> None:
        steps = self._steps
        outcomes.record_started(self._buffer, self._lease)
        if outcome := outcomes.outcome_on_arrival(self._lease):
            self._stop(outcome)
        else:
            steps.start()
        while self._phase is not DriverPhase.LEFT:
            if not self._buffer.fits_in_run():  # events alone may fill it
                self._stop(Outcome.failed(RunTooLarge().as_json()))
            if self._phase is DriverPhase.SHUTTING_DOWN and not self._awaits_last_answers:
                self._finish_shutdown()
            elif self._phase is DriverPhase.RUNNING and steps.ready and not self._buffer.is_backed_up:
                steps.begin_next()
                self._drain_inbox(wait=False)
            elif self._is_busy:
                self._drain_inbox(wait=True)
            else:
                self._end()

    def _dispatch(self, event: Event) -> None:
        steps = self._steps
        match event:
            case events.AttemptEnded(attempt, result):
                steps.attempt_moved(attempt, steps.attempts.conclude(attempt, result))
            case events.CallAllowed(attempt):
                steps.attempts.send_allowed(attempt)
            case events.AttemptStarting(attempt, reference, receipt):
                steps.attempts.store_start(attempt, reference, receipt)
            case events.AttemptStatusChanged(attempt, state, data):
                steps.attempts.note_status(attempt, state, data)
            case events.CallPostponed(attempt, call, seconds):
                steps.attempt_moved(attempt, steps.attempts.postpone(attempt, call, seconds))
            case events.QueueTimePassed(attempt, call):
                steps.attempt_moved(attempt, steps.attempts.park(attempt, call))
            case events.NodeDeadlinePassed(attempt):
                steps.attempt_moved(attempt, steps.attempts.expire(attempt))
            case events.RetryDue():
                steps.attempts.retry(event)
            case events.ChildStartStored(step):
                steps.start_child(step)
            case events.NodeFailed(document):
                self._stop(Outcome.failed(document))
            case events.Stored(size):
                self._buffer.write_done(size)
            case WriteRefused():
                self._write_refused(event)
            case _:
                self._dispatch_own(event)

    def _dispatch_own(self, event: Event) -> None:
        """Handle events that concern the run as a whole."""
        match event:
            case events.AnswerGiven():
                self._refresh_answers()
            case events.CancelRequested():
                self._stop(Outcome.cancelled())
            case events.DeadlinePassed():
                self._stop(Outcome.failed(run_timed_out(self._lease.deadline)))
            case events.ShutdownRequested():
                self._begin_shutdown()
            case events.OwnershipLost():
                # A run that was just ended or parked has no lease; the pending write tells whether that was stored.
                if self._phase is not DriverPhase.CLOSING:
                    self._leave(DriveResult.LOST)
            case EndingStored(status):
                self._result = DriveResult.PARKED if status is ExecutionStatus.WAITING else DriveResult.ENDED
                outcomes.count(self._lease, status)
                self._enter(DriverPhase.LEFT)
            case ShutdownStored():
                self._leave(DriveResult.RELEASED)

    def _drain_inbox(self, *, wait: bool) -> None:
        """Handle posted events; with `wait`, block until one comes or the next timer is due."""
        while event := self._steps.attempts.timers.next_due():
            self._dispatch(event)
            wait = False
        is_idle = wait and self._inbox.empty()
        if self._buffer.is_due or (is_idle and self._buffer.has_unwritten):
            self._buffer.flush(may_wait=is_idle)
        if wait:
            with suppress(Empty):
                self._dispatch(self._inbox.get(timeout=self._pause))
        self._drain()

    def _drain(self) -> None:
        while True:
            while not self._inbox.empty():
                self._dispatch(self._inbox.get_nowait())
            if self._phase is DriverPhase.RUNNING:
                self._steps.go_on_with_time()
            if self._inbox.empty():
                return

    @property
    def _pause(self) -> float | None:
        """Seconds until something is due without an event; None: only an event can follow."""
        moment = self._next_at if self._phase is DriverPhase.RUNNING else None
        last = self._shutdown_by if self._phase is DriverPhase.SHUTTING_DOWN else None
        pauses = (
            self._steps.attempts.timers.seconds_left,
            None if moment is None else clock.seconds_until(moment),
            None if last is None else max(0.0, last - time.monotonic()),
        )
        return min((pause for pause in pauses if pause is not None), default=None)

    @property
    def _is_busy(self) -> bool:
        """Whether an event is expected, or something is due so soon that parking the run is not worth it."""
        steps = self._steps
        if self._phase is DriverPhase.CLOSING or len(steps.attempts) or len(steps.children):
            return True
        if self._buffer.is_backed_up or not self._inbox.empty():
            return True
        if self._phase is not DriverPhase.RUNNING or steps.blocked:
            return False
        moment = _first(steps.paused.worth_staying_for, steps.loops.next_end)
        return moment is not None and clock.seconds_until(moment) <= INLINE_WAIT_SECONDS

    @property
    def _next_at(self) -> datetime | None:
        """When the next wait is over or the next loop must end."""
        return _first(self._steps.paused.next_at, self._steps.loops.next_end)

    def _refresh_answers(self) -> None:
        if self._phase not in (DriverPhase.RUNNING, DriverPhase.STOPPING):
            return  # too late for this driver; the wake-up stays stored for the next one
        try:
            with session_scope() as session:
                rows, cap = leases.answers(session, self._lease), leases.cap(session, self._lease)
        except (OperationalError, PoolTimeout) as error:  # the heartbeat repeats the event until the wake-up is cleared
            log.warning("driver.not_refreshed", execution_id=str(self._lease.execution_id), error=type(error).__name__)
        else:
            self._steps.refresh_answers(rows, cap)

    def _write_refused(self, event: WriteRefused) -> None:
        if self._phase is DriverPhase.LEFT:
            return
        if isinstance(event.error, LeaseLost):
            self._leave(DriveResult.LOST)
            return
        self._buffer.undo(event.progress)
        if isinstance(event.then, ShutdownStored):
            self._leave(DriveResult.RELEASED)
        elif isinstance(event.then, EndingStored):
            self._ending_refused(event.progress.ending)
        elif not event.starts or any(row.finished_at for row in event.progress.nodes):
            self._stop(Outcome.internal("A result of this run could not be stored."))
        # Otherwise only starts were refused, and their receipts fail the attempts.

    def _ending_refused(self, ending: Ending | None) -> None:
        if ending and ending.error:
            self._leave(DriveResult.LOST)  # not even the error can be stored: let the lease expire
            return
        self._outcome = Outcome.internal("The result of this run could not be stored.")
        self._enter(DriverPhase.STOPPING if self._shutdown_by is None else DriverPhase.SHUTTING_DOWN)

    def _stop(self, outcome: Outcome) -> None:
        """End the run early: nothing new starts, and calls in progress are stopped."""
        if self._outcome or self._phase in (DriverPhase.CLOSING, DriverPhase.LEFT):
            return
        self._outcome = outcome
        self._steps.open.stop(charged=not outcome.is_ours)
        if self._phase is DriverPhase.RUNNING:
            self._enter(DriverPhase.STOPPING)

    def _begin_shutdown(self) -> None:
        if self._shutdown_by is None and self._phase is not DriverPhase.LEFT:
            self._shutdown_by = time.monotonic() + LAST_RESULTS_SECONDS
            self._steps.attempts.begin_shutdown()
            if self._phase is not DriverPhase.CLOSING:
                self._enter(DriverPhase.SHUTTING_DOWN)

    @property
    def _awaits_last_answers(self) -> bool:
        """Whether results may still come whose calls must not be repeated."""
        return self._steps.attempts.has_non_repeatable and time.monotonic() < (self._shutdown_by or 0.0)

    def _finish_shutdown(self) -> None:
        """Store all progress, so that the next driver may claim the run."""
        self._enter(DriverPhase.CLOSING)
        self._buffer.flush(ShutdownStored())

    def _end(self) -> None:
        """Write the run's ending, now that nothing runs any more, and leave once that is stored."""
        steps, outcome = self._steps, self._outcome
        if self._phase is DriverPhase.RUNNING:
            if steps.blocked and not steps.paused.for_children:
                if steps.can_unblock:
                    steps.unblock()
                    return
                outcome = Outcome.budget(steps.budget.cap, steps.needed_cap, self._next_at)
            elif len(steps.paused):
                outcome = Outcome.waiting(steps.paused, self._next_at)
        if outcome is None or outcome.status is not ExecutionStatus.WAITING:
            steps.open.close(charged=outcome is None or not outcome.is_ours)
        ending = outcomes.conclude(self._buffer, steps.schedule, outcome)
        self._enter(DriverPhase.CLOSING)
        self._buffer.flush(EndingStored(ending.status), ending=ending)

    def _leave(self, result: DriveResult) -> None:
        """Stop driving; another driver goes on."""
        if self._phase is not DriverPhase.LEFT:
            self._steps.attempts.cancel_repeatable()
            self._result = result
            self._enter(DriverPhase.LEFT)

    def _enter(self, phase: DriverPhase) -> None:
        self._phase = next_phase(self._phase, phase)


def _first(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
