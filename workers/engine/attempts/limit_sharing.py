"""Shares the limits of a process with all other workers: its one thread asks for places and passes on what it gets.

The leases of places in Redis are derived: they are renewed with each heartbeat, and the turns of processes that are
not found there, because they were killed or because Redis lost its data, are counted by their rows. While Redis is
away, a process keeps its places until they expire, and then has its share of each limit: the limit divided by the
number of workers that live by their rows. When Redis is back, it counts the others' shares as taken until they had
time to claim their places again.
"""

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import redis
import structlog
from sqlalchemy.exc import SQLAlchemyError

import threads
from models.db import session_scope
from models.services.operations import worker_heartbeats
from workers.engine.attempts.limiter import AdaptiveLimiter
from workers.engine.attempts.provider_queue import Demand, Grant
from workers.engine.values.queued_calls import LimitKey

log = structlog.get_logger()

POLL_SECONDS = 0.1  # while places are missing
MAX_ROWS_SECONDS = 5.0  # between two looks at the rows
RETRY_SECONDS = 2.0  # between two tries while Redis is away


class Places(Protocol):
    """Where processes get places from."""

    def claim(self, key: LimitKey, demand: Demand, turns: Mapping[str, int]) -> Grant:
        """Renew places and ask for more; raises `redis.RedisError` or `OSError`."""


@dataclass(frozen=True)
class Rows:
    """What the rows say about the other workers."""

    workers: tuple[str, ...] = ()  # live ones that drive executions
    turns: Mapping[str, int] = field(default_factory=dict)  # open agent turns by the process that drives their run


class LimitSharing:
    """Started by `start`; the limiter calls `ask` when places of a limit are missing or free."""

    def __init__(self, places: Places, *, process: str, lease_seconds: float, renew_seconds: float) -> None:
        self._places = places
        self._process = process
        self._lease_seconds, self._renew_seconds = lease_seconds, renew_seconds
        # The turns of a process that vanishes are known by their rows before its places expire.
        self._rows_seconds = min(MAX_ROWS_SECONDS, lease_seconds / 3)
        self._changed = threading.Condition()
        self._asked: set[LimitKey] = set()
        self._stopping = False
        self._rows, self._rows_at = Rows(), -MAX_ROWS_SECONDS
        self._claimed_at: dict[LimitKey, float] = {}  # monotonic, for the limits whose places are in Redis
        self._failed_at = -2 * RETRY_SECONDS  # monotonic, of the last claim that failed
        self._thread: threading.Thread | None = None

    def start(self, limiter: AdaptiveLimiter) -> None:
        """Share the limits of this limiter from now on."""
        self._thread = threads.keep_running("limits", lambda: self._run(limiter))

    def ask(self, key: LimitKey) -> None:
        """Ask for places of a limit soon, or give some up."""
        with self._changed:
            self._asked.add(key)
            self._changed.notify()

    def stop(self) -> None:
        """Give up free places, and end the thread. Places of calls that go on without this process expire."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread:
            self._thread.join()

    def _run(self, limiter: AdaptiveLimiter) -> None:
        short: set[LimitKey] = set()
        renewed_at = time.monotonic()
        while not self._stopping:
            asked = self._await_asked(POLL_SECONDS if short else self._renew_seconds)
            renews = time.monotonic() >= renewed_at + self._renew_seconds
            short = self.share(limiter, None if renews else asked | short)
            renewed_at = time.monotonic() if renews else renewed_at
        self.share(limiter)

    def _await_asked(self, seconds: float) -> set[LimitKey]:
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._stopping, seconds)
            asked, self._asked = self._asked, set()
        return asked

    def share(self, limiter: AdaptiveLimiter, keys: Collection[LimitKey] | None = None) -> set[LimitKey]:
        """Ask once for the places of these limits, or of all; returns the limits of which places are missing."""
        short = set()
        for key, demand in limiter.demands(keys).items():
            grant = self._granted(key, demand)
            limiter.grant(key, grant)
            if grant.places < demand.wanted:
                short.add(key)
        return short

    def _granted(self, key: LimitKey, demand: Demand) -> Grant:
        now = time.monotonic()
        if now >= self._failed_at + RETRY_SECONDS:
            self._look_at_rows()
            try:
                grant = self._places.claim(key, demand, self._taken(key, demand, now))
            except (redis.RedisError, OSError) as error:
                log.warning("limits.not_shared", error=type(error).__name__)
                self._failed_at, self._rows_at = time.monotonic(), -MAX_ROWS_SECONDS
            else:
                self._claimed_at[key] = now
                return grant
        if now < self._claimed_at.get(key, -self._lease_seconds) + self._lease_seconds:
            return Grant(demand.held)  # they are still ours in Redis
        return Grant(self._share(key, int(demand.limit)))

    def _share(self, key: LimitKey, limit: int) -> int:
        """The places without Redis; turns of processes that still have more than their share are left to end."""
        turns = self._rows.turns if key.owner is None else {}
        left = limit - sum(number for process, number in turns.items() if process != self._process)
        return max(0, min(left, share_of(limit, self._process, self._rows.workers)))

    def _taken(self, key: LimitKey, demand: Demand, now: float) -> Mapping[str, int]:
        """The places of processes that may have no entry in Redis."""
        turns, workers = self._rows.turns if key.owner is None else {}, self._rows.workers
        if now > self._failed_at + 2 * RETRY_SECONDS:
            return turns
        shares = {worker: share_of(int(demand.limit), worker, workers) for worker in workers}
        return {**turns, **{worker: max(share, turns.get(worker, 0)) for worker, share in shares.items()}}

    def _look_at_rows(self) -> None:
        if time.monotonic() < self._rows_at + self._rows_seconds:
            return
        try:
            with session_scope() as session:
                workers = tuple(worker_heartbeats.drivers(session))
                self._rows = Rows(workers, worker_heartbeats.open_turns(session))
        except SQLAlchemyError as error:
            log.warning("limits.rows_not_read", error=type(error).__name__)
        self._rows_at = time.monotonic()


def share_of(limit: int, process: str, workers: tuple[str, ...]) -> int:
    """The places of a process in a limit that is divided among these workers; one that is not among them gets one."""
    if process not in workers:
        return min(1, limit)
    each, left = divmod(limit, len(workers))
    return each + (sorted(workers).index(process) < left)
