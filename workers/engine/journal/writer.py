"""Group commit: the progress of all drivers of a process is written together, in one transaction after another.

There is no timer: while one commit is pending the next batch gathers, so a lone write is never delayed and a busy
process makes one commit for many writes. A driver that would only wait writes by itself if no commit is pending, which
saves two changes of threads; all else is written by the journal's thread.

A batch is kept until its drivers are answered. If a driver fails to write it, the journal's thread writes it again,
which is idempotent. If that thread fails, it starts again; if it fails once more, the process ends and other workers
take over.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Set
from dataclasses import replace
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

import threads
from models.changes import publish_changed
from models.db import session_scope
from models.errors import LeaseLost
from models.services.orchestration import journal
from models.services.orchestration.journal import Progress
from telemetry import correlation

log = structlog.get_logger()

OnWritten = Callable[[Exception | None], None]
Write = tuple[Progress, OnWritten]
PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between tries while the database is unreachable
QUIET_SECONDS = 0.05  # without a write of another run: this one may have the process to itself
MAX_BATCH = 8 * 1024 * 1024  # bytes of results: they are copied several times, and a connection keeps its buffer
TOO_LARGE, TOO_LONG = "54000", "57014"  # SQLSTATE: program_limit_exceeded, query_canceled (statement timeout)


class JournalWriter:
    """The journal of a process. `on_written` runs in the thread that writes, so it must return at once."""

    def __init__(self) -> None:
        self._waiting: list[Write] = []
        self._in_hand: dict[UUID, Write] = {}  # the current batch, kept until answered: its writer may fail
        self._batches: deque[tuple[float, Set[UUID]]] = deque(maxlen=32)  # the last ones: when, and of which runs
        self._driver_writes = False
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threads.keep_running("journal", self._run, may_fail_again=False)

    def is_free_for(self, execution_id: UUID) -> bool:
        """Whether no write is pending, so that all are answered, and no other run has written just now."""
        with self._changed:
            if self._waiting or self._in_hand:
                return False
            lately = time.monotonic() - QUIET_SECONDS
            return all(at < lately or runs == {execution_id} for at, runs in self._batches)

    def write(self, progress: Progress, on_written: OnWritten, *, may_wait: bool = False) -> None:
        """Write soon; `on_written` gets None after the commit, else `LeaseLost` or the error of this write.

        With `may_wait`, the caller has nothing else to do, so that it may write before this returns.
        """
        with self._changed:
            self._waiting.append((progress, on_written))
            if self._driver_writes:
                return  # it wakes the thread once it has written
            if not may_wait or self._in_hand:
                self._changed.notify()
                return
            self._next_batch()
            self._driver_writes = True
        try:
            self._write_once(list(self._in_hand.values()))
        finally:
            with self._changed:
                self._driver_writes = False
                if self._waiting or self._in_hand or self._stopping:
                    self._changed.notify()

    def stop(self) -> None:
        """Write everything that waits, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._driver_writes or not (self._waiting or self._in_hand or self._stopping):
                    self._changed.wait()
                if not self._in_hand:
                    self._next_batch()
            if not self._in_hand:
                return
            self._write_batch(list(self._in_hand.values()))

    def _next_batch(self) -> None:
        self._in_hand, self._waiting = self._take()
        self._batches.append((time.monotonic(), frozenset(self._in_hand)))

    def _take(self) -> tuple[dict[UUID, Write], list[Write]]:
        """Take the next batch, one write per execution and up to `MAX_BATCH`; return it and the rest.

        Further writes of a driver are merged with its first one. If they are too large, or that one ends the run, they
        and all its later ones wait for the next batch, so their order is kept.
        """
        batch: dict[UUID, Write] = {}
        later: list[Write] = []
        behind: set[UUID] = set()
        size = 0
        for write in self._waiting:
            execution_id = write[0].execution_id
            more = sum(len(row.output or b"") for row in write[0].nodes)
            earlier = batch.get(execution_id)
            is_over = earlier is not None and earlier[0].ending is not None
            if is_over or execution_id in behind or (batch and size + more > MAX_BATCH):
                behind.add(execution_id)
                later.append(write)
                continue
            batch[execution_id] = _together(earlier, write) if earlier else write
            size += more
        return batch, later

    def _write_once(self, batch: list[Write]) -> None:
        """Write a batch, or leave it to the journal's thread, which handles its error; called in a driver's thread."""
        try:
            self._answer_all(batch, *_record(batch, again=False))
        except Exception as error:
            log.warning("journal.retry", error=type(error).__name__, writes=len(batch))

    def _write_batch(self, batch: list[Write]) -> None:
        for tries in range(1_000_000):
            try:
                held, unpublished = _record(batch, again=tries > 0)
                break
            except (OperationalError, PoolTimeout) as error:
                code = getattr(getattr(error, "orig", None), "pgcode", None)
                if code == TOO_LARGE or (code == TOO_LONG and len(batch) > 1):
                    self._write_apart(batch, error)  # a repeat would fail again
                    return
                # The database is unreachable. Leases may expire meanwhile; the next claim raises the epoch, and then
                # the fence skips these writes.
                log.warning("journal.retry", error=type(error).__name__, writes=len(batch), tries=tries)
                time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            except Exception as error:
                self._write_apart(batch, error)
                return
        self._answer_all(batch, held, unpublished)

    def _answer_all(self, batch: list[Write], held: set[UUID], unpublished: set[UUID]) -> None:
        for write in batch:
            self._answer(write, None if write[0].execution_id in held else LeaseLost())
        publish_changed(unpublished)  # last, because calls wait for their starts

    def _answer(self, write: Write, error: Exception | None) -> None:
        progress, on_written = write
        on_written(error)
        del self._in_hand[progress.execution_id]

    def _write_apart(self, batch: list[Write], error: Exception) -> None:
        """Find the one write of the batch that cannot be stored, and store the others."""
        if len(batch) == 1:
            cause = type(error.orig).__name__ if isinstance(error, DBAPIError) else type(error).__name__
            progress, _ = batch[0]
            with correlation.bound(request_id=progress.request_id, execution_id=progress.execution_id):
                log.error("journal.refused", error=cause)
            self._answer(batch[0], error)
            return
        for write in batch:
            self._write_batch([write])


def _record(batch: list[Write], *, again: bool) -> tuple[set[UUID], set[UUID]]:
    """Store a batch; returns the runs whose leases were still held, and those whose changes are to be published.

    What is stored `again` has a session, which discards all connections of the pool if one of them is lost.
    """
    written = [progress for progress, _ in batch]
    if all(map(journal.is_one_statement, written)) and not again:
        held = journal.record_alone(written)
        if left := [progress for progress in written if progress.ending and progress.execution_id not in held]:
            with session_scope() as session:
                held |= journal.record(session, left)
        return held, held
    with session_scope() as session:
        return journal.record(session, written), set()


def _together(earlier: Write, later: Write) -> Write:
    """Merge two writes of one driver; its totals are absolute, so the later ones hold."""
    (first, tell_first), (last, tell_last) = earlier, later

    def tell(error: Exception | None) -> None:
        tell_first(error)
        tell_last(error)

    added = replace(
        last,
        fee=first.fee + last.fee,
        nodes=[*first.nodes, *last.nodes],
        events=[*first.events, *last.events],
        abandoned=[*first.abandoned, *last.abandoned],
    )
    return added, tell
