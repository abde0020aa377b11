"""Renews the leases of a process and notifies their holders of cancels, deadlines, wake-ups and lost leases."""

import threading
import time
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

import threads
from models.db import session_scope
from models.rules.executions.deadlines import run_timed_out
from models.services.orchestration import leases
from models.services.orchestration.leases import Lease, LeaseSignals
from workers.engine.driver.outcomes import Outcome, outcome_on_arrival
from workers.engine.values.events import (
    AnswerGiven,
    CancelRequested,
    DeadlinePassed,
    LeaseEvent,
    OwnershipLost,
    ShutdownRequested,
)

log = structlog.get_logger()

POLL_SECONDS = 0.5  # between checks for cancels and deadlines; a cancel must arrive within two seconds


class LeaseListener(Protocol):
    """The holder of a lease: a driver, or a `HeldLease`."""

    def post(self, event: LeaseEvent) -> None:
        """Receive an event. Must not block."""


@dataclass
class _KeptLease:
    epoch: int
    listener: LeaseListener
    good_until: float  # monotonic; after it the lease may belong to another worker
    cancel_sent: bool = False


class LeaseHeartbeat:
    """One thread that renews every lease of this process together."""

    def __init__(self, *, lease_seconds: float, heartbeat_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._entries: dict[UUID, _KeptLease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threads.keep_running("lease-heartbeat", self._run, may_fail_again=False)

    def keep(self, lease: Lease, listener: LeaseListener) -> None:
        """Renew `lease` until `forget`: it was claimed just now, or it is kept already and passes to `listener`."""
        with self._lock:
            kept = self._entries.get(lease.execution_id)
            same = kept is not None and kept.epoch == lease.epoch
            good_until = kept.good_until if kept and same else time.monotonic() + self._lease_seconds
            self._entries[lease.execution_id] = _KeptLease(
                lease.epoch, listener, good_until, cancel_sent=lease.cancelled
            )

    def forget(self, lease: Lease) -> None:
        """Stop renewing a lease."""
        with self._lock:
            entry = self._entries.get(lease.execution_id)
            if entry and entry.epoch == lease.epoch:
                del self._entries[lease.execution_id]

    def release_all(self) -> int:
        """Ask all listeners to release their runs; return how many were asked."""
        entries = self._snapshot()
        for entry in entries.values():
            entry.listener.post(ShutdownRequested())
        return len(entries)

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        renewed = 0.0  # so that a restarted thread renews at once
        while not self._stop.wait(POLL_SECONDS):
            entries = self._snapshot()
            if not entries:
                renewed = time.monotonic()
                continue
            due = time.monotonic() - renewed >= self._heartbeat_seconds
            try:
                asked_at = time.monotonic()
                self._dispatch(entries, self._fetch_signals(entries, renew=due), asked_at if due else None)
                if due:
                    renewed = asked_at
            except (DBAPIError, PoolTimeout) as error:
                log.warning("leases.unreachable", error=type(error).__name__, leases=len(entries))
                self._drop_expired(entries)

    def _fetch_signals(self, entries: dict[UUID, _KeptLease], *, renew: bool) -> dict[UUID, LeaseSignals]:
        pairs = [(execution_id, entry.epoch) for execution_id, entry in entries.items()]
        with session_scope() as session:
            if renew:
                return leases.renew(session, pairs, seconds=self._lease_seconds)
            return leases.check_leases(session, pairs)

    def _dispatch(
        self, entries: dict[UUID, _KeptLease], held: dict[UUID, LeaseSignals], renewed_at: float | None
    ) -> None:
        for execution_id, entry in entries.items():
            if execution_id not in held:
                if self._is_current(execution_id, entry):
                    entry.listener.post(OwnershipLost())
                continue
            if renewed_at is not None:
                entry.good_until = renewed_at + self._lease_seconds
            if held[execution_id].cancelled and not entry.cancel_sent:
                entry.cancel_sent = True
                entry.listener.post(CancelRequested())
            if held[execution_id].overdue:
                entry.listener.post(DeadlinePassed())
            if held[execution_id].woken:
                entry.listener.post(AnswerGiven())

    def _drop_expired(self, entries: dict[UUID, _KeptLease]) -> None:
        for entry in entries.values():
            if time.monotonic() > entry.good_until:
                entry.listener.post(OwnershipLost())

    def _is_current(self, execution_id: UUID, entry: _KeptLease) -> bool:
        """Whether the lease is still kept; its run may have ended during the query."""
        with self._lock:
            return self._entries.get(execution_id) is entry

    def _snapshot(self) -> dict[UUID, _KeptLease]:
        with self._lock:
            return dict(self._entries)


class HeldLease:
    """A lease whose run is not driven here, because it is queued or an isolated process drives it.

    It records the events of the lease heartbeat meanwhile. Thread-safe.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self.outcome = outcome_on_arrival(lease)  # why the run must end without being driven
        self.is_lost = False
        self.is_leaving = False

    @property
    def is_called(self) -> bool:
        """Whether waiting makes no sense any more."""
        return self.is_leaving or self.is_lost or self.outcome is not None

    def post(self, event: LeaseEvent) -> None:
        """Record an event; `AnswerGiven` is ignored, because the run's next driver reads the rows."""
        match event:
            case CancelRequested():
                self.outcome = self.outcome or Outcome.cancelled()
            case DeadlinePassed():
                self.outcome = self.outcome or Outcome.failed(run_timed_out(self._lease.deadline))
            case OwnershipLost():
                self.is_lost = True
            case ShutdownRequested():
                self.is_leaving = True
