"""Run work in one process at a time, under a lease that is renewed while the work goes on."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

import threads
from models.db import session_scope
from models.services.rows import named_leases

log = structlog.get_logger(__name__)

LEASE_SECONDS = 60.0
RENEWALS = 4  # per lease time
POLL_SECONDS = 1.0  # between two tries to acquire a lease that another process holds


@dataclass
class ExclusiveLease:
    """A named lease of this process, until it is lost."""

    name: str
    seconds: float
    holder: str = field(default_factory=lambda: f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid4().hex}")
    _good_until: float = 0.0  # monotonic

    @property
    def is_lost(self) -> bool:
        """Whether another process may hold it by now."""
        return time.monotonic() >= self._good_until

    def acquire(self) -> bool:
        """Acquire the lease; return whether it was free."""
        asked_at = time.monotonic()
        with session_scope() as session:
            taken = named_leases.acquire(session, self.name, self.holder, seconds=self.seconds)
        self._good_until = asked_at + self.seconds if taken else 0.0
        return taken

    def renew_until(self, over: threading.Event) -> None:
        """Renew the lease regularly, until `over` is set or the lease is lost."""
        while not over.wait(self.seconds / RENEWALS):
            asked_at = time.monotonic()
            try:
                with session_scope() as session:
                    held = named_leases.renew(session, self.name, self.holder, seconds=self.seconds)
            except SQLAlchemyError as error:  # the database may be back before the lease ends
                log.warning("lease.not_renewed", name=self.name, error=type(error).__name__)
                continue
            self._good_until = asked_at + self.seconds if held else 0.0
            if not held:
                log.warning("lease.lost", name=self.name)
                return

    def release(self) -> None:
        """Release the lease; if that fails, it expires by itself."""
        try:
            with session_scope() as session:
                named_leases.release(session, self.name, self.holder)
        except SQLAlchemyError as error:
            log.warning("lease.not_released", name=self.name, error=type(error).__name__)


@contextmanager
def exclusive(
    name: str,
    *,
    seconds: float = LEASE_SECONDS,
    wait_seconds: float = 0.0,
    on_wait: Callable[[], object] = lambda: None,
) -> Iterator[ExclusiveLease | None]:
    """Hold the lease `name` while the block runs; None when another process holds it, after `wait_seconds` still.

    The lease of a process that died ends after `seconds`. `on_wait` is called once, when the waiting begins.
    Long work checks `is_lost` from time to time, and stops when it is.
    """
    lease, over = ExclusiveLease(name, seconds), threading.Event()
    if not (lease.acquire() or (wait_seconds > 0 and _acquire_later(lease, wait_seconds, on_wait))):
        yield None
        return
    keeper = threads.keep_running("exclusive-lease", partial(lease.renew_until, over))
    try:
        yield lease
    finally:
        over.set()
        keeper.join()
        lease.release()


def _acquire_later(lease: ExclusiveLease, wait_seconds: float, on_wait: Callable[[], object]) -> bool:
    """Poll until the lease is acquired or the time is over."""
    until = time.monotonic() + wait_seconds
    on_wait()
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(POLL_SECONDS, left))
        if lease.acquire():
            return True
    return False
