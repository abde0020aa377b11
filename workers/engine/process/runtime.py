"""The engine of one worker process and its entry point: journal, lease heartbeat, thread pools and limiter."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import UUID

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.db import session_scope
from models.errors import ExpressionError
from models.rules.executions.states import CrashState
from models.rules.prices.pricing import Provider, UnknownPriceList, price_list
from models.services.operations.worker_heartbeats import Calls
from models.services.orchestration import isolated_runs, leases
from models.services.orchestration.leases import Lease
from models.services.orchestration.redelivery import TaskTarget
from telemetry import correlation, tracing
from telemetry.tracing import Span
from threads import Pool
from workers import metrics
from workers.engine.attempts.effect_executor import EffectExecutor
from workers.engine.attempts.limit_sharing import LimitSharing, Places
from workers.engine.attempts.limiter import AdaptiveLimiter
from workers.engine.attempts.resources import EngineResources, EnqueueRun
from workers.engine.driver.driver import ExecutionDriver
from workers.engine.driver.outcomes import DriveResult, Outcome, count, must_be_alone
from workers.engine.journal.writer import JournalWriter
from workers.engine.process.isolation import IsolationPool, Start, isolation_disabled
from workers.engine.process.lease_heartbeat import HeldLease, LeaseHeartbeat, LeaseListener
from workers.engine.process.memory import Memory
from workers.engine.values import clock
from workers.engine.values.compiled_workflow import CompiledWorkflow, WorkflowCache, compile_workflow
from workers.engine.values.events import ShutdownRequested

log = structlog.get_logger()

Drive = Callable[[Lease], DriveResult]
H = TypeVar("H", bound=LeaseListener)


@dataclass(frozen=True)
class EngineConfig:
    """The times of a worker's leases, in seconds, and its limits on concurrent effects."""

    lease_seconds: float = 30.0
    heartbeat_seconds: float = 10.0
    effect_threads: int = 256
    agent_turns: int = 6  # at a time, of all workers together


def _sharing(places: Places, owner: str, config: EngineConfig) -> LimitSharing:
    lease, renew = config.lease_seconds, config.heartbeat_seconds
    return LimitSharing(places, process=owner, lease_seconds=lease, renew_seconds=renew)


def enqueue_nothing(run: TaskTarget) -> None:
    """Enqueue nothing."""


class Runtime:
    """Drives executions in the callers' threads. Thread-safe."""

    def __init__(
        self,
        performer: EffectExecutor,
        *,
        owner: str,
        config: EngineConfig,
        enqueue: EnqueueRun = enqueue_nothing,
        start_isolated: Start = isolation_disabled,
        places: Places | None = None,
    ) -> None:
        """Build the engine of a process.

        Args:
            owner: the name of the process in leases, for operators.
            enqueue: called for every child run that a driver starts; without it the sweep enqueues such a run.
            start_isolated: starts a process for a run that is suspected to kill its driver.
            places: where limits are shared with other workers; without it they belong to this process.
        """
        self._performer = performer
        self._enqueue = enqueue
        self._owner = owner
        self._config = config
        self._journal = JournalWriter()
        self._heartbeat = LeaseHeartbeat(lease_seconds=config.lease_seconds, heartbeat_seconds=config.heartbeat_seconds)
        self._pool = Pool(config.effect_threads, "effect")
        self._cancel_pool = Pool(16, "stopping")
        self._sharing = _sharing(places, owner, config) if places else None
        self._limiter = AdaptiveLimiter(
            {Provider.OPENCLAW: config.agent_turns}, on_demand=self._sharing.ask if self._sharing else None
        )
        if self._sharing:
            self._sharing.start(self._limiter)
        self._cache = WorkflowCache()
        self._isolation = IsolationPool(start_isolated)
        self._memory = Memory()
        self._driving = 0
        self._leaving = False
        self._idle = threading.Condition()

    def drive(self, execution_id: UUID) -> DriveResult | None:
        """Drive an execution as far as possible now; None when there is nothing to do. Safe to repeat."""
        return self._begin(partial(self._claim, execution_id), self._drive_claimed)

    def drive_alone(self, execution_id: UUID, epoch: int) -> DriveResult | None:
        """Drive a run that a worker holds in this epoch, as the isolated process to which it passes the lease."""
        return self._begin(partial(self._transferred, execution_id, epoch), self._run)

    def calls(self) -> Calls:
        """The numbers of calls allowed, in progress and queued, summed over the accounts of each provider."""
        return self._limiter.by_provider()

    def shut_down(self, seconds: float) -> bool:
        """Release every execution and accept no more; True when all drivers left within `seconds`."""
        with self._idle:
            self._leaving = True
        asked = self._heartbeat.release_all()
        with self._idle:
            is_complete = self._idle.wait_for(lambda: self._driving == 0, timeout=seconds)
        log.info("runtime.left", handed_over=asked, complete=is_complete)
        self._journal.stop()
        self._heartbeat.stop()
        if self._sharing:
            self._sharing.stop()
        self._limiter.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        return is_complete

    def _begin(self, claim: Callable[[], Lease | None], drive: Drive) -> DriveResult | None:
        with self._idle:
            if self._leaving:
                return DriveResult.RELEASED
            self._driving += 1
        try:
            lease = claim()
            return self._hold(lease, drive) if lease else None
        finally:
            with self._idle:
                self._driving -= 1
                is_idle = not self._driving
                self._idle.notify_all()
            self._memory.give_back(is_idle=is_idle)

    def _claim(self, execution_id: UUID) -> Lease | None:
        owner, seconds = self._owner, self._config.lease_seconds
        lease = None
        with suppress(OperationalError):  # a session replaces all connections of the pool if one is lost
            lease = leases.claim_alone(execution_id, owner=owner, seconds=seconds)
        if lease is None:
            with session_scope() as session:
                lease = leases.claim(session, execution_id, owner=owner, seconds=seconds)
        if lease and lease.is_recovered:
            metrics.RECOVERIES.inc()
        return lease

    def _hold(self, lease: Lease, drive: Drive) -> DriveResult:
        """Drive a run that was just claimed with `drive`, and release its lease as the result requires."""
        ids = correlation.bound(request_id=lease.request_id, execution_id=lease.execution_id)
        with ids, tracing.inside(_span(lease)) as span:
            result = self._hold_bound(lease, drive)
            span.set({"agentforge.left": result.value})
            return result

    def _hold_bound(self, lease: Lease, drive: Drive) -> DriveResult:
        clock.sync(lease.claimed_at)
        bound = log.bind(epoch=lease.epoch)
        try:
            result = drive(lease)
        except (OperationalError, PoolTimeout, UnknownPriceList) as error:  # temporary
            bound.warning("execution.not_loaded", error=type(error).__name__)
            result = DriveResult.PUT_BACK
        except Exception:
            # The lease is left to expire; after several such failures the run is isolated, and then quarantined.
            bound.exception("execution.driver_failed")
            return DriveResult.BROKEN
        finally:
            self._heartbeat.forget(lease)
        # An isolated process that was told to leave early has left the run to this worker.
        if result in (DriveResult.RELEASED, DriveResult.PUT_BACK, DriveResult.POSTPONED, DriveResult.ISOLATED):
            self._release(lease, later=result is DriveResult.POSTPONED)
        bound.info("execution.left", how=result)
        return result

    def _drive_claimed(self, lease: Lease) -> DriveResult:
        return self._drive_isolated(lease) if must_be_alone(lease) else self._run(lease)

    def _run(self, lease: Lease) -> DriveResult:
        try:
            driver = self._driver(lease)
        except ExpressionError as error:  # of a version that was saved when expressions were of another kind
            return self._end(lease, Outcome.failed({"code": error.code, "message": f"Save it anew: {error.detail}"}))
        return self._keep(lease, driver).run()

    def _keep(self, lease: Lease, held: H) -> H:
        self._heartbeat.keep(lease, held)
        if self._leaving:  # `release_all` may have run before this lease was kept
            held.post(ShutdownRequested())
        return held

    def _drive_isolated(self, lease: Lease) -> DriveResult:
        """Let an isolated process drive a run that is suspected to kill workers; see `IsolationPool`."""
        held = self._keep(lease, HeldLease(lease))
        outcome = self._isolation.drive(lease, held)
        if outcome is None:
            return self._abandon(lease, held)
        if isinstance(outcome, DriveResult):
            return outcome
        back = self._transferred(lease.execution_id, lease.epoch + 1, died=True)
        if back is None:  # the run had ended, or the isolated process never took over the lease
            return DriveResult.POSTPONED
        is_first = lease.crash_state is not CrashState.KILLED_ONCE or back.succeeded > lease.succeeded
        if outcome.killed_externally and is_first:
            return self._hold(back, lambda _: DriveResult.POSTPONED)  # tolerated once, because it may have been chance
        return self._hold(back, partial(self._end, outcome=Outcome.quarantined(lease.deaths, outcome.description)))

    def _transferred(self, execution_id: UUID, epoch: int, *, died: bool = False) -> Lease | None:
        with session_scope() as session:
            return isolated_runs.transfer_lease(
                session, execution_id, epoch, owner=self._owner, seconds=self._config.lease_seconds, died=died
            )

    def _abandon(self, lease: Lease, held: HeldLease) -> DriveResult:
        """End or release a run whose wait for an isolated process was interrupted."""
        if held.is_lost:
            return DriveResult.LOST
        if held.outcome:
            return self._end(lease, held.outcome)
        return DriveResult.RELEASED if held.is_leaving else DriveResult.POSTPONED

    def _end(self, lease: Lease, outcome: Outcome) -> DriveResult:
        """End a run without driving it; its graph is not even read, because that may be what kills."""
        with session_scope() as session:
            under_way = isolated_runs.end(session, lease, outcome.status, outcome.message, outcome.error)
        if under_way is None:
            return DriveResult.LOST
        count(lease, outcome.status)
        for reference in under_way:
            self._cancel_pool.submit(self._performer.stop, reference)
        return DriveResult.ENDED

    def _release(self, lease: Lease, *, later: bool) -> None:
        """Release the lease. Best effort: if this fails, it expires by itself."""
        try:
            with session_scope() as session:
                leases.release(session, lease, later=later)
        except (OperationalError, PoolTimeout) as error:
            log.warning("execution.release_failed", execution_id=str(lease.execution_id), error=type(error).__name__)

    def _driver(self, lease: Lease) -> ExecutionDriver:
        with session_scope() as session:
            past = leases.history(session, lease.execution_id) if lease.epoch > 1 or lease.reuses_results else {}
            workflow = self._cache.get((lease.version_id, lease.price_list)) or self._compiled(
                leases.graph(session, lease.version_id), lease
            )
        return ExecutionDriver(lease, workflow, past, self._resources())

    def _resources(self) -> EngineResources:
        return EngineResources(
            self._journal, self._performer, self._pool, self._cancel_pool, self._limiter, self._enqueue
        )

    def _compiled(self, document: object, lease: Lease) -> CompiledWorkflow:
        if not isinstance(document, dict):
            raise TypeError("a workflow version without a graph")
        workflow = compile_workflow(document, price_list(lease.price_list))
        self._cache.put((lease.version_id, lease.price_list), workflow)
        return workflow


def _span(lease: Lease) -> Span:
    """The span of one driver of a run: below the message that brought it, if that is of the run's own trace."""
    here = tracing.traceparent()
    parent = here if tracing.is_same_trace(here, lease.traceparent) else lease.traceparent
    facts = {
        "agentforge.execution_id": str(lease.execution_id),
        "agentforge.workflow_id": str(lease.workflow_id),
        "agentforge.request_id": lease.request_id,
        "agentforge.epoch": lease.epoch,
    }
    return tracing.begin("claim and drive", parent=parent, attributes=facts)
