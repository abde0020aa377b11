"""Wards: processes that drive one run each, alone, because it is believed to kill whoever drives it.

The worker that started a ward outlives it and sees how it ends. So a ward that dies by itself proves what its run does,
and one that dies together with its worker proves nothing: an innocent run is never convicted by chance.
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
from models.services import leases
from models.services.leases import Lease
from workers.engine.endings import Left
from workers.engine.standing import Standing

log = structlog.get_logger()

REFUSED = 75  # EX_TEMPFAIL: a ward's status when it could do nothing and nobody is to blame, as without a database
PLACES = 2  # wards at a time in one worker
LINE = 8  # runs that wait for one of them, each in a thread of the worker
LINE_SECONDS = 60.0  # for which one waits: a ward may go on for hours, and another worker may have a place
IDLE_SECONDS = 30.0  # for which a ward may live without its run: it starts, or is about to end
LEAVING_SECONDS = 7.0  # for it to hand its run over
LOOK_EVERY = 0.5
FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGQUIT}


class Ward(Protocol):
    """A process as its worker sees it."""

    def wait(self, seconds: float) -> int | None:
        """Its status if it ends within that time, negative for a signal."""

    def leave(self) -> None:
        """Ask it to hand its run over."""

    def kill(self) -> None:
        """End it at once."""


Start = Callable[[UUID, int], Ward]  # for the run that its worker holds in this epoch; raises `OSError`


def nowhere(execution_id: UUID, epoch: int) -> Ward:
    """Starts no ward."""
    raise OSError("no wards are started here")


@dataclass(frozen=True)
class Death:
    """How a ward ended that neither did its work nor was told to leave."""

    status: int

    @property
    def is_from_outside(self) -> bool:
        """Whether somebody else may have ended it: an operator, or the kernel for want of memory."""
        return self.status in FROM_OUTSIDE

    @property
    def how(self) -> str:
        """For a sentence."""
        if self.status >= 0:
            return f"with exit status {self.status}"
        try:
            return f"by signal {-self.status} ({signal.Signals(-self.status).name})"
        except ValueError:
            return f"by signal {-self.status}"


class Process:
    """A ward that is a child of this process. Its input stays open for as long as this process wants it to go on."""

    def __init__(self, command: Sequence[str], directory: Path) -> None:
        # Nothing of the command comes from users but the id of a run.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=directory)  # noqa: S603  # see above

    def wait(self, seconds: float) -> int | None:
        """Its status if it ends within that time, negative for a signal."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self.leave()
        return status

    def leave(self) -> None:
        """Close its input, as the system does when this process dies."""
        if self._process.stdin:
            self._process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        self.leave()
        self._process.kill()
        self._process.wait()


class Wards:
    """The wards of one worker process. Thread-safe."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._places = threading.Semaphore(PLACES)
        self._lock = threading.Lock()
        self._waiting = 0

    def drive(self, lease: Lease, standing: Standing) -> Left | Death | None:
        """Have a held run driven, and wait for that; None when it was called away while it stood in line."""
        if not self._enter(standing):
            return None if standing.is_called else Left.POSTPONED
        try:
            ward = self._start(lease.execution_id, lease.epoch)
            log.info("ward.started", execution_id=str(lease.execution_id))
            return self._attend(ward, lease, standing)
        except (OSError, subprocess.SubprocessError, MemoryError) as error:
            log.warning("ward.not_started", execution_id=str(lease.execution_id), error=str(error))
            return Left.POSTPONED
        finally:
            self._places.release()

    def _enter(self, standing: Standing) -> bool:
        with self._lock:
            if self._waiting >= LINE:
                return False
            self._waiting += 1
        until = time.monotonic() + LINE_SECONDS
        try:
            while not standing.is_called and time.monotonic() < until:
                if self._places.acquire(timeout=LOOK_EVERY):
                    return True
            return False
        finally:
            with self._lock:
                self._waiting -= 1

    def _attend(self, ward: Ward, lease: Lease, standing: Standing) -> Left | Death:
        useful_at = time.monotonic()
        while (status := ward.wait(LOOK_EVERY)) is None:
            if standing.leaving:
                return self._dismiss(ward)
            if _drives(lease):
                useful_at = time.monotonic()
            elif time.monotonic() - useful_at > IDLE_SECONDS:  # it hangs, and its lease has run out
                log.error("ward.hangs", execution_id=str(lease.execution_id))
                ward.kill()
                return Left.POSTPONED
        if status == 0:
            return Left.WARDED
        if standing.leaving:  # it may have been ended along with this process
            return Left.HANDED_OVER
        log.warning("ward.ended", execution_id=str(lease.execution_id), status=status)
        return Left.POSTPONED if status == REFUSED else Death(status)

    @staticmethod
    def _dismiss(ward: Ward) -> Left:
        """This process leaves: whatever becomes of the ward now proves nothing."""
        ward.leave()
        if ward.wait(LEAVING_SECONDS) is None:
            ward.kill()
        return Left.HANDED_OVER


def _drives(lease: Lease) -> bool:
    """Whether the ward to which this lease was handed on holds the run."""
    try:
        with session_scope() as session:
            return bool(leases.look(session, [(lease.execution_id, lease.epoch + 1)]))
    except (OperationalError, PoolTimeout):
        return True  # nobody knows
