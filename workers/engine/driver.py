"""Drives one execution from where its journal stands to its end, or to where it must wait.

Everything that decides happens in the driver's own thread; other threads hand it callables through its inbox. What a
node did is stored before its successors may act on the outside world: the start of every effect is a write that is
awaited, and the journal is ordered, so all that came before an effect is stored before the effect leaves the house.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from queue import Empty, SimpleQueue

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.db import session_scope
from models.errors import LeaseLost
from models.rules.deadlines import run_timed_out
from models.rules.schedule import Step
from models.rules.states import ExecutionStatus, NodeStatus
from models.services import leases
from models.services.journal import Progress
from models.services.leases import Lease, PastStep
from workers.engine import endings
from workers.engine.attempts import STOPPERS, Attempts
from workers.engine.children import Children, Ring
from workers.engine.endings import Left, Reason
from workers.engine.home import StepsHome
from workers.engine.limiter import Limiter
from workers.engine.performer import Performs
from workers.engine.recorder import Recorder, Writer
from workers.engine.steps import Steps
from workers.engine.waits import patience_reference, ration_reference
from workers.engine.workflow import Workflow

log = structlog.get_logger()

LAST_ANSWERS = 5.0  # seconds that a leaving driver stays for the answers of calls that must not be repeated


class Driver:
    """Drives one execution; `run` blocks its thread, the other public methods may be called from any."""

    def __init__(
        self,
        lease: Lease,
        workflow: Workflow,
        past: Mapping[Step, PastStep],
        *,
        journal: Writer,
        performer: Performs,
        pool: Executor,
        limiter: Limiter,
        ring: Ring,
    ) -> None:
        self._lease = lease
        self._performer = performer
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        kin = bool(lease.depth or workflow.callers)
        self._recorder = Recorder(lease, journal, lambda: int(100 * self._steps.schedule.settled_share), kin=kin)
        self._steps = Steps(lease, workflow, dict(past), self._recorder, self._stop)
        self._attempts = Attempts(
            lease,
            self._recorder,
            performer,
            pool,
            limiter,
            post=self._inbox.put,
            on_end=self._steps.answered,
            on_patience=lambda running, *why: self._steps.postpone(running, patience_reference(*why)),
            on_shortage=lambda running, month: self._steps.postpone(running, ration_reference(month)),
        )
        self._steps.attempts = self._attempts
        home = StepsHome(self._steps, self._not_written)
        self._children = self._steps.children = Children(
            lease, self._recorder, self._steps.budget, home, post=self._inbox.put, ring=ring
        )
        self._departing = False  # the process leaves, and another one goes on
        self._depart_by = 0.0  # monotonic; past it nobody is waited for
        self._ending = False  # the run's end is on its way into the journal
        self._reason: Reason | None = None  # why the run comes to an early end
        self._left: Left | None = None

    def run(self) -> Left:
        """Drive until the execution is over, waits, was handed over or belongs to somebody else."""
        try:
            left = self._run()
            if left is Left.ENDED:
                self._attempts.retire(self._inbox)
            return left
        except BaseException:
            self._attempts.detach()  # nobody hears them any more, and some wait to be heard
            raise

    def _run(self) -> Left:
        endings.announce(self._recorder, self._lease)
        self._reason = endings.verdict_on_arrival(self._lease)
        if self._reason is None:
            self._steps.follow(self._steps.schedule.start())
        while self._left is None:
            if self._departing and not self._ending:
                self._depart()
            elif self._steps.ready and self._reason is None:
                self._steps.begin(self._steps.ready.popleft())
                self._hear(wait=False)
            elif len(self._attempts) or len(self._children) or self._ending or self._worth_staying():
                self._hear(wait=True)
            else:
                self._end()
        return self._left

    def cancel(self) -> None:
        """Somebody asked for the run's end."""
        self._inbox.put(partial(self._stop, Reason.cancelled()))

    def time_out(self) -> None:
        """The run's deadline has passed."""
        self._inbox.put(partial(self._stop, Reason.failed(run_timed_out(self._lease.deadline))))

    def wake(self) -> None:
        """Somebody answered a question of this run."""
        self._inbox.put(self._learn)

    def lose(self) -> None:
        """Another driver owns the run now: leave without a word."""
        self._inbox.put(self._lose)

    def hand_over(self) -> None:
        """The process is leaving: stop here, another worker goes on."""
        self._inbox.put(self._withdraw)

    def _hear(self, *, wait: bool, at_most: float | None = None) -> None:
        """Do what other threads handed over; with `wait`, until something comes or the next attempt is due."""
        pauses = (self._attempts.wake(), self._steps.waits.patience, at_most)
        pause = min((pause for pause in pauses if pause is not None), default=None)
        if self._recorder.is_due or (wait and self._recorder.has_news and self._inbox.empty()):
            self._recorder.flush(self._written)
        try:
            if wait:
                self._inbox.get(timeout=pause)()
            while not self._inbox.empty():
                self._inbox.get_nowait()()
        except Empty:
            pass
        for waited in self._steps.waits.over():
            if self._reason is None and not self._ending and not self._departing:
                self._steps.go_on(waited)

    def _worth_staying(self) -> bool:
        """Whether nothing happens now, but something will before a parked run would be woken."""
        return self._reason is None and not self._steps.blocked and self._steps.waits.patience is not None

    def _learn(self) -> None:
        if self._ending or self._departing:
            return  # too late for this driver; the call for attention stays for the next one
        try:
            with session_scope() as session:
                self._steps.learn(leases.answers(session, self._lease))
                self._steps.budget.cap = leases.cap(session, self._lease)
            self._steps.unblock()
        except (OperationalError, PoolTimeout) as error:  # the keeper wakes us again until the call is taken back
            log.warning("driver.not_learned", execution_id=str(self._lease.execution_id), error=type(error).__name__)

    def _written(self, progress: Progress, error: Exception | None) -> None:
        """In the journal's thread: a write that nobody waits for has ended."""
        if error:
            self._inbox.put(partial(self._not_written, progress, error))

    def _not_written(self, progress: Progress | None, error: Exception) -> None:
        if isinstance(error, LeaseLost) or progress is None:
            self._leave(Left.LOST)
        else:
            self._recorder.refused(progress)
            self._stop(Reason.internal("A result of this run could not be stored."))

    def _lose(self) -> None:
        """A run that has just ended or been parked is nobody's: an ending under way hears for itself how it went."""
        if not self._ending:
            self._leave(Left.LOST)

    def _leave(self, left: Left) -> None:
        self._attempts.detach()
        self._left = self._left or left

    def _withdraw(self) -> None:
        if not self._departing:
            self._departing, self._depart_by = True, time.monotonic() + LAST_ANSWERS
            self._attempts.withdraw()

    def _depart(self) -> None:
        """Nothing new starts: hear the answers that nobody may ask for again, store what is known, and leave."""
        if self._attempts.irrevocable and (left := self._depart_by - time.monotonic()) > 0:
            self._hear(wait=True, at_most=left)
            return
        self._ending = True
        self._recorder.flush(lambda progress, error: self._inbox.put(partial(self._departed, error)))

    def _departed(self, error: Exception | None) -> None:
        """All that this driver had to say is stored, so the next one may read it."""
        self._leave(Left.LOST if isinstance(error, LeaseLost) else Left.HANDED_OVER)

    def _stop(self, reason: Reason) -> None:
        """Come to an early end: nothing new starts, and what runs is stopped."""
        if self._reason is None:
            self._reason = reason
            for running in self._attempts:
                self._attempts.stop(running)
            for child in self._children:
                self._children.give_up(child)

    def _end(self) -> None:
        """Nothing runs any more: write how it ends, and leave once that is stored."""
        steps = self._steps
        if self._reason is None and steps.blocked and not steps.waits.for_children:
            if steps.affordable(steps.blocked[0], steps.past.get(steps.blocked[0])):
                steps.unblock()
                return
            self._reason = Reason.budget(steps.budget.cap, steps.waits)
        elif self._reason is None and len(steps.waits):
            self._reason = Reason.waiting(steps.waits)
        if self._reason is None or self._reason.status is not ExecutionStatus.WAITING:
            self._close()
        ending = endings.conclude(self._recorder, steps.schedule, self._reason)
        left = Left.PARKED if ending.status is ExecutionStatus.WAITING else Left.ENDED
        self._ending = True

        def arrived(progress: Progress, error: Exception | None) -> None:
            self._ending = False
            if error is None:
                self._left = left
            elif isinstance(error, LeaseLost) or ending.error:
                self._leave(Left.LOST)  # even the bare ending cannot be stored: let the lease run out
            else:
                self._recorder.refused(progress)
                self._reason = Reason.internal("The result of this run could not be stored.")

        self._recorder.flush(
            lambda progress, error: self._inbox.put(partial(arrived, progress, error)),
            ending=ending,
            fee=endings.fee(self._recorder, ending, self._steps.workflow.price_list),
        )

    def _close(self) -> None:
        """Loops, waits, and what earlier drivers had begun, that were open when the run stopped."""
        for past in self._steps.past.values():
            if past.status is NodeStatus.RUNNING and past.external_ref:
                STOPPERS.submit(self._performer.stop, past.external_ref)
        for wait in self._steps.waits:
            self._steps.give_up(wait)
        self._steps.loops.close()
