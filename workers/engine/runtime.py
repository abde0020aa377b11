"""The engine of one worker process: its journal, its lease keeper, its threads and its gateways, and the way in."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import UUID

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from models.db import session_scope
from models.rules.pricing import Priority, Provider, UnknownPriceList, price_list
from models.services import leases, wards
from models.services.leases import Lease
from models.services.presence import Calls
from workers.engine import clock
from workers.engine.attempts import STOPPERS
from workers.engine.children import Ring
from workers.engine.driver import Driver
from workers.engine.endings import KILLED_WARD, SUSPECT, Left, Reason, must_be_alone
from workers.engine.journal import Journal
from workers.engine.leases import Held, LeaseKeeper
from workers.engine.limiter import Limiter
from workers.engine.performer import Performs
from workers.engine.probation import Probation
from workers.engine.standing import Standing
from workers.engine.wards import Start, Wards, nowhere
from workers.engine.workflow import Workflow, WorkflowCache, compile_workflow

log = structlog.get_logger()

How = Callable[[Lease], Left]
H = TypeVar("H", bound=Held)


@dataclass(frozen=True)
class Pace:
    """The times of a worker's leases, in seconds, and how many effects it may have under way."""

    lease: float = 30.0
    heartbeat: float = 10.0
    threads: int = 256
    turns: int = 6  # of agents, at a time


def nobody(execution_id: UUID, priority: Priority) -> None:
    """Rings for nobody."""


class Runtime:
    """Drives executions in the callers' threads. Thread-safe."""

    def __init__(
        self, performer: Performs, *, owner: str, pace: Pace, ring: Ring = nobody, start_ward: Start = nowhere
    ) -> None:
        """Make one for a process.

        Args:
            owner: names the process, for operators.
            ring: is called for every run that a driver here starts; without it such a run waits for the sweep.
            start_ward: starts a process for a run that is believed to kill its own.
        """
        self._performer = performer
        self._ring = ring
        self._owner = owner
        self._pace = pace
        self._journal = Journal()
        self._keeper = LeaseKeeper(lease_seconds=pace.lease, heartbeat_seconds=pace.heartbeat)
        self._pool = ThreadPoolExecutor(pace.threads, thread_name_prefix="effect")
        self._limiter = Limiter({Provider.OPENCLAW: pace.turns})
        self._cache = WorkflowCache()
        self._probation = Probation()
        self._wards = Wards(start_ward)
        self._driving = 0
        self._leaving = False
        self._idle = threading.Condition()

    def drive(self, execution_id: UUID) -> Left | None:
        """Drive an execution as far as it goes now; None when there is nothing to do. Safe to call twice."""
        seconds = self._pace.lease
        return self._claim(partial(leases.claim, owner=self._owner, seconds=seconds), self._see_to, execution_id)

    def drive_alone(self, execution_id: UUID, epoch: int) -> Left | None:
        """Drive one that a worker holds in this epoch, and hands on to this process, which is a ward."""
        return self._claim(partial(self._adopted, epoch=epoch), self._run, execution_id)

    def calls(self) -> Calls:
        """How many calls are allowed, under way and in line at each provider, its accounts together."""
        return self._limiter.by_provider()

    def leave(self, seconds: float) -> bool:
        """Hand every execution over and take no more; True when all drivers left within `seconds`."""
        with self._idle:
            self._leaving = True
        asked = self._keeper.hand_over_all()
        with self._idle:
            left = self._idle.wait_for(lambda: self._driving == 0, timeout=seconds)
        log.info("runtime.left", handed_over=asked, complete=left)
        self._journal.stop()
        self._keeper.stop()
        self._limiter.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        return left

    def _claim(self, claim: Callable[[Session, UUID], Lease | None], how: How, execution_id: UUID) -> Left | None:
        with self._idle:
            if self._leaving:
                return Left.HANDED_OVER
            self._driving += 1
        try:
            with session_scope() as session:
                lease = claim(session, execution_id)
            return self._hold(lease, how) if lease else None
        finally:
            with self._idle:
                self._driving -= 1
                self._idle.notify_all()

    def _hold(self, lease: Lease, how: How) -> Left:
        """Do with a run that was just claimed as `how` does, and see to it that it is left as that says."""
        clock.heard(lease.claimed_at)
        bound = log.bind(execution_id=str(lease.execution_id), epoch=lease.epoch)
        try:
            left = how(lease)
        except (OperationalError, PoolTimeout, UnknownPriceList) as error:  # nobody's fault here, and it passes
            bound.warning("execution.not_loaded", error=type(error).__name__)
            left = Left.PUT_BACK
        except Exception:
            # The lease is left to run out, and after too many of them the run is driven alone and ends as quarantined.
            bound.exception("execution.driver_failed")
            return Left.BROKEN
        finally:
            self._keeper.forget(lease)
        # A ward that was told to leave early has left it to this worker.
        if left in (Left.HANDED_OVER, Left.PUT_BACK, Left.POSTPONED, Left.WARDED):
            self._hand_over(lease, later=left is Left.POSTPONED)
        bound.info("execution.left", how=left)
        return left

    def _see_to(self, lease: Lease) -> Left:
        if must_be_alone(lease):
            return self._in_ward(lease)
        return self._watched(lease) if lease.suspicion in SUSPECT else self._run(lease)

    def _run(self, lease: Lease) -> Left:
        return self._kept(lease, self._driver(lease)).run()

    def _kept(self, lease: Lease, held: H) -> H:
        self._keeper.keep(lease, held)
        if self._leaving:  # perhaps since before it was kept, and nobody asked this one
            held.hand_over()
        return held

    def _watched(self, lease: Lease) -> Left:
        """Drive a run that was under way when a worker died; see `Probation`."""
        standing = self._kept(lease, Standing(lease))
        leave = self._probation.enter(stop=lambda: standing.is_called, on_passed=lambda: self._trust(lease))
        if leave is None:
            return self._dismissed(lease, standing)
        try:
            with session_scope() as session:
                leases.watch(session, lease)
            return self._run(lease)
        finally:
            leave()

    def _in_ward(self, lease: Lease) -> Left:
        """Have a run driven that is believed to kill workers; see `Wards`."""
        standing = self._kept(lease, Standing(lease))
        outcome = self._wards.drive(lease, standing)
        if outcome is None:
            return self._dismissed(lease, standing)
        if isinstance(outcome, Left):
            return outcome
        with session_scope() as session:
            back = self._adopted(session, lease.execution_id, lease.epoch + 1, died=True)
        if back is None:  # the run was over before, or its ward never came so far as to hold it
            return Left.POSTPONED
        if outcome.is_from_outside and (lease.suspicion < KILLED_WARD or back.executed > lease.executed):
            return self._hold(back, lambda _: Left.POSTPONED)  # that may have been chance: once in a row
        return self._hold(back, partial(self._end, reason=Reason.quarantined(lease.crashes, outcome.how)))

    def _adopted(self, session: Session, execution_id: UUID, epoch: int, *, died: bool = False) -> Lease | None:
        return wards.adopt(session, execution_id, epoch, owner=self._owner, seconds=self._pace.lease, died=died)

    def _dismissed(self, lease: Lease, standing: Standing) -> Left:
        """What becomes of a run that was called away while it stood in a line."""
        if standing.lost:
            return Left.LOST
        if standing.reason:
            return self._end(lease, standing.reason)
        return Left.HANDED_OVER if standing.leaving else Left.POSTPONED

    def _end(self, lease: Lease, reason: Reason) -> Left:
        """End a run that nobody drives here: not even its graph is read, for that may be what kills."""
        with session_scope() as session:
            under_way = wards.end(session, lease, reason.status, reason.message, reason.error)
        if under_way is None:
            return Left.LOST
        for reference in under_way:
            STOPPERS.submit(self._performer.stop, reference)
        return Left.ENDED

    def _trust(self, lease: Lease) -> None:
        """Best effort: without it the run is watched once more."""
        with suppress(OperationalError, PoolTimeout), session_scope() as session:
            leases.trust(session, lease)

    def _hand_over(self, lease: Lease, *, later: bool) -> None:
        """Best effort: without it the lease runs out by itself."""
        try:
            with session_scope() as session:
                leases.hand_over(session, lease, later=later)
        except (OperationalError, PoolTimeout) as error:
            log.warning("execution.not_handed_over", execution_id=str(lease.execution_id), error=type(error).__name__)

    def _driver(self, lease: Lease) -> Driver:
        with session_scope() as session:
            past = leases.history(session, lease.execution_id) if lease.epoch > 1 or lease.is_retry else {}
            workflow = self._cache.get((lease.version_id, lease.price_list)) or self._compiled(
                leases.graph(session, lease.version_id), lease
            )
        return Driver(
            lease,
            workflow,
            past,
            journal=self._journal,
            performer=self._performer,
            pool=self._pool,
            limiter=self._limiter,
            ring=self._ring,
        )

    def _compiled(self, document: object, lease: Lease) -> Workflow:
        if not isinstance(document, dict):
            raise TypeError("a workflow version without a graph")
        workflow = compile_workflow(document, price_list(lease.price_list))
        self._cache.put((lease.version_id, lease.price_list), workflow)
        return workflow
