"""Isolated processes: each drives a single run that is suspected to kill its driver.

The worker that started the process outlives it and sees its exit status. So an isolated process that dies by itself
proves that its run kills, and one that dies together with its worker proves nothing: no harmless run is quarantined by
chance.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.db import session_scope
from models.services.orchestration import leases
from models.services.orchestration.leases import Lease
from workers.engine.driver.outcomes import DriveResult
from workers.engine.process.lease_heartbeat import HeldLease

log = structlog.get_logger()

EXIT_UNAVAILABLE = 75  # EX_TEMPFAIL: the process could do nothing for an outside cause, such as no database
MAX_ISOLATED = 2  # isolated processes at a time in one worker
MAX_QUEUED = 8  # runs that wait for one of them, each in a thread of the worker
QUEUE_TIMEOUT_SECONDS = 60.0  # a process may run for hours, and another worker may have a free slot
IDLE_SECONDS = 30.0  # for which a process may live without a lease, at its start and end
SHUTDOWN_SECONDS = 7.0  # for it to release its run
POLL_SECONDS = 0.5
EXTERNAL_SIGNALS = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGQUIT}


class IsolatedProcess(Protocol):
    """An isolated process as its worker sees it."""

    def wait(self, seconds: float) -> int | None:
        """Its exit status if it ends within that time, negative for a signal; else None."""

    def shut_down(self) -> None:
        """Ask it to release its run."""

    def kill(self) -> None:
        """End it at once."""


Start = Callable[[UUID, int], IsolatedProcess]  # execution id, and the epoch that the worker holds; raises `OSError`


def isolation_disabled(execution_id: UUID, epoch: int) -> IsolatedProcess:
    """Start no isolated process; raises `OSError`."""
    raise OSError("isolated processes are disabled here")


@dataclass(frozen=True)
class ProcessExit:
    """The exit status of an isolated process that failed on its own."""

    status: int

    @property
    def killed_externally(self) -> bool:
        """Whether something outside may have ended it: an operator, or the kernel's OOM killer."""
        return self.status in EXTERNAL_SIGNALS

    @property
    def description(self) -> str:
        """The exit in words, as the end of a sentence."""
        if self.status >= 0:
            return f"with exit status {self.status}"
        try:
            return f"by signal {-self.status} ({signal.Signals(-self.status).name})"
        except ValueError:
            return f"by signal {-self.status}"


class Subprocess:
    """An isolated child process; closing its stdin asks it to release its run."""

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        # The command contains nothing from users except the id of a run.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=directory)  # noqa: S603  # see above

    def wait(self, seconds: float) -> int | None:
        """Its exit status if it ends within that time, negative for a signal; else None."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self.shut_down()
        return status

    def shut_down(self) -> None:
        """Close its stdin, as the operating system does when this process dies."""
        if self._process.stdin:
            self._process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        self.shut_down()
        self._process.kill()
        self._process.wait()


class IsolationPool:
    """The isolated processes of one worker. Thread-safe."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._slots = threading.Semaphore(MAX_ISOLATED)
        self._lock = threading.Lock()
        self._queued = 0

    def drive(self, lease: Lease, held: HeldLease) -> DriveResult | ProcessExit | None:
        """Let an isolated process drive a held run, and wait for its end; None when waiting became pointless."""
        if not self._acquire_slot(held):
            return None if held.is_called else DriveResult.POSTPONED
        try:
            process = self._start(lease.execution_id, lease.epoch)
            log.info("isolation.started", execution_id=str(lease.execution_id))
            return self._supervise(process, lease, held)
        except (OSError, subprocess.SubprocessError, MemoryError) as error:
            log.warning("isolation.start_failed", execution_id=str(lease.execution_id), error=str(error))
            return DriveResult.POSTPONED
        finally:
            self._slots.release()

    def _acquire_slot(self, held: HeldLease) -> bool:
        with self._lock:
            if self._queued >= MAX_QUEUED:
                return False
            self._queued += 1
        until = time.monotonic() + QUEUE_TIMEOUT_SECONDS
        try:
            while not held.is_called and time.monotonic() < until:
                if self._slots.acquire(timeout=POLL_SECONDS):
                    return True
            return False
        finally:
            with self._lock:
                self._queued -= 1

    def _supervise(self, process: IsolatedProcess, lease: Lease, held: HeldLease) -> DriveResult | ProcessExit:
        useful_at = time.monotonic()
        while (status := process.wait(POLL_SECONDS)) is None:
            if held.is_leaving:
                return self._shut_down(process)
            if _is_driving(lease):
                useful_at = time.monotonic()
            elif time.monotonic() - useful_at > IDLE_SECONDS:  # it hangs, and its lease has expired
                log.error("isolation.hangs", execution_id=str(lease.execution_id))
                process.kill()
                return DriveResult.POSTPONED
        if status == 0:
            return DriveResult.ISOLATED
        if held.is_leaving:  # it may have been stopped together with this process
            return DriveResult.RELEASED
        log.warning("isolation.ended", execution_id=str(lease.execution_id), status=status)
        return DriveResult.POSTPONED if status == EXIT_UNAVAILABLE else ProcessExit(status)

    @staticmethod
    def _shut_down(process: IsolatedProcess) -> DriveResult:
        """End the process because this one shuts down; its exit status now proves nothing."""
        process.shut_down()
        if process.wait(SHUTDOWN_SECONDS) is None:
            process.kill()
        return DriveResult.RELEASED


def _is_driving(lease: Lease) -> bool:
    """Whether the isolated process has taken over the lease."""
    try:
        with session_scope() as session:
            return bool(leases.check_leases(session, [(lease.execution_id, lease.epoch + 1)]))
    except (OperationalError, PoolTimeout):
        return True  # unknown
