"""The engine of one worker process: its journal, its lease keeper, its threads and its gateways, and the way in."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.db import session_scope
from models.rules.pricing import Priority, Provider, UnknownPriceList, price_list
from models.services import leases
from models.services.leases import Lease
from models.services.presence import Calls
from workers.engine import clock
from workers.engine.children import Ring
from workers.engine.driver import Driver
from workers.engine.endings import SUSPECT, Left
from workers.engine.journal import Journal
from workers.engine.leases import LeaseKeeper
from workers.engine.limiter import Limiter
from workers.engine.performer import Performs
from workers.engine.probation import Probation
from workers.engine.workflow import Workflow, WorkflowCache, compile_workflow

log = structlog.get_logger()


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

    def __init__(self, performer: Performs, *, owner: str, pace: Pace, ring: Ring = nobody) -> None:
        """`ring` is called for every run that a driver here starts; without it such a run waits for the sweep."""
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
        self._driving = 0
        self._leaving = False
        self._idle = threading.Condition()

    def drive(self, execution_id: UUID) -> Left | None:
        """Drive an execution as far as it goes now; None when there is nothing to do. Safe to call twice."""
        with self._idle:
            if self._leaving:
                return Left.HANDED_OVER
            self._driving += 1
        try:
            with session_scope() as session:
                lease = leases.claim(session, execution_id, owner=self._owner, seconds=self._pace.lease)
            return self._drive(lease) if lease else None
        finally:
            with self._idle:
                self._driving -= 1
                self._idle.notify_all()

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

    def _drive(self, lease: Lease) -> Left:
        clock.heard(lease.claimed_at)
        bound = log.bind(execution_id=str(lease.execution_id), epoch=lease.epoch)
        driver: Driver | None = None
        try:
            driver = self._driver(lease)
            self._keeper.keep(lease, driver)
            if self._leaving:  # perhaps since before it was kept, and nobody asked this one
                driver.hand_over()
            left = self._watched(driver, lease) if lease.suspicion in SUSPECT else driver.run()
        except (OperationalError, PoolTimeout, UnknownPriceList) as error:  # nobody's fault here, and it passes
            bound.warning("execution.not_loaded", error=type(error).__name__)
            left = Left.PUT_BACK
        except Exception:
            # A bug of ours: the lease is left to run out, and after too many of them the run ends as quarantined.
            bound.exception("execution.driver_failed")
            return Left.LOST
        finally:
            self._keeper.forget(lease)
        if left in (Left.HANDED_OVER, Left.PUT_BACK):
            self._hand_over(lease)
        bound.info("execution.left", how=left)
        return left

    def _watched(self, driver: Driver, lease: Lease) -> Left:
        """Drive a run that was under way when a worker died; see `Probation`."""
        leave = self._probation.enter(stop=lambda: self._leaving, on_passed=lambda: self._trust(lease))
        if leave is None:
            return Left.HANDED_OVER
        try:
            with session_scope() as session:
                leases.watch(session, lease)
            return driver.run()
        finally:
            leave()

    def _trust(self, lease: Lease) -> None:
        """Best effort: without it the run is watched once more."""
        with suppress(OperationalError, PoolTimeout), session_scope() as session:
            leases.trust(session, lease)

    def _hand_over(self, lease: Lease) -> None:
        """Best effort: without it the lease runs out by itself."""
        try:
            with session_scope() as session:
                leases.hand_over(session, lease)
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
