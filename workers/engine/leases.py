"""Keeps the leases of a process's drivers alive, and tells a driver when its run was cancelled or taken over."""

import threading
import time
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog

from models.db import session_scope
from models.services import leases
from models.services.leases import Lease, News

log = structlog.get_logger()

LOOK_EVERY = 0.5  # seconds between looks at cancels and deadlines; a cancel must arrive within two


class Held(Protocol):
    """What the keeper tells a driver."""

    def cancel(self) -> None:
        """Somebody asked for the run's end."""

    def time_out(self) -> None:
        """The run's deadline has passed."""

    def wake(self) -> None:
        """Somebody answered a question of the run."""

    def lose(self) -> None:
        """Another driver owns the run, or the lease may have run out unnoticed."""

    def hand_over(self) -> None:
        """The process is leaving: give the run back."""


@dataclass
class _Entry:
    epoch: int
    driver: Held
    good_until: float  # monotonic; past it the lease may be somebody else's
    told: bool = False


class LeaseKeeper:
    """One thread that renews every lease of this process together."""

    def __init__(self, *, lease_seconds: float, heartbeat_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._entries: dict[UUID, _Entry] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
        self._thread.start()

    def keep(self, lease: Lease, driver: Held) -> None:
        """Renew `lease` until `forget`: the claim was made just now, or it is kept already and passes to `driver`."""
        with self._lock:
            kept = self._entries.get(lease.execution_id)
            same = kept is not None and kept.epoch == lease.epoch
            good_until = kept.good_until if kept and same else time.monotonic() + self._lease_seconds
            self._entries[lease.execution_id] = _Entry(lease.epoch, driver, good_until, told=lease.cancelled)

    def forget(self, lease: Lease) -> None:
        """Stop renewing."""
        with self._lock:
            entry = self._entries.get(lease.execution_id)
            if entry and entry.epoch == lease.epoch:
                del self._entries[lease.execution_id]

    def hand_over_all(self) -> int:
        """Ask every driver to give its run back; answers how many were asked."""
        entries = self._snapshot()
        for entry in entries.values():
            entry.driver.hand_over()
        return len(entries)

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        renewed = time.monotonic()
        while not self._stop.wait(LOOK_EVERY):
            entries = self._snapshot()
            if not entries:
                renewed = time.monotonic()
                continue
            due = time.monotonic() - renewed >= self._heartbeat_seconds
            try:
                asked_at = time.monotonic()
                self._tell(entries, self._ask(entries, renew=due), asked_at if due else None)
                if due:
                    renewed = asked_at
            except Exception as error:
                log.warning("leases.unreachable", error=type(error).__name__, leases=len(entries))
                self._drop_expired(entries)

    def _ask(self, entries: dict[UUID, _Entry], *, renew: bool) -> dict[UUID, News]:
        pairs = [(execution_id, entry.epoch) for execution_id, entry in entries.items()]
        with session_scope() as session:
            if renew:
                return leases.renew(session, pairs, seconds=self._lease_seconds)
            return leases.look(session, pairs)

    def _tell(self, entries: dict[UUID, _Entry], held: dict[UUID, News], renewed_at: float | None) -> None:
        for execution_id, entry in entries.items():
            if execution_id not in held:
                if self._is_current(execution_id, entry):
                    entry.driver.lose()
                continue
            if renewed_at is not None:
                entry.good_until = renewed_at + self._lease_seconds
            if held[execution_id].cancelled and not entry.told:
                entry.told = True
                entry.driver.cancel()
            if held[execution_id].overdue:
                entry.driver.time_out()
            if held[execution_id].woken:
                entry.driver.wake()

    def _drop_expired(self, entries: dict[UUID, _Entry]) -> None:
        for entry in entries.values():
            if time.monotonic() > entry.good_until:
                entry.driver.lose()

    def _is_current(self, execution_id: UUID, entry: _Entry) -> bool:
        """A run may end between the question and the answer."""
        with self._lock:
            return self._entries.get(execution_id) is entry

    def _snapshot(self) -> dict[UUID, _Entry]:
        with self._lock:
            return dict(self._entries)
