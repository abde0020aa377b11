"""Group commit: what the drivers of a process have to say is written together, in one transaction after another.

There is no timer: while one commit is on its way the next batch gathers, so a lone write is never delayed and a busy
process pays for one commit among many.
"""

import threading
import time
from collections.abc import Callable
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.db import session_scope
from models.errors import LeaseLost
from models.services import journal
from models.services.journal import Progress

log = structlog.get_logger()

OnWritten = Callable[[Exception | None], None]
PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between tries while the database is away
LARGEST_BATCH = 32 * 1024 * 1024  # bytes of results: the database takes 256 MiB of JSON, and within its time limit
TOO_LARGE, TOO_LONG = "54000", "57014"  # SQLSTATE: past a limit of the database, past the time for one statement


class Journal:
    """The one writer of a process. `on_written` runs in the journal's thread: hand over, do not work there."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Progress, OnWritten]] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def write(self, progress: Progress, on_written: OnWritten) -> None:
        """Write soon; `on_written` gets None after the commit, `LeaseLost`, or what made this write impossible."""
        with self._changed:
            self._waiting.append((progress, on_written))
            self._changed.notify()

    def stop(self) -> None:
        """Write what waits, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                batch, self._waiting = self._take()
            if not batch:
                return
            self._write_batch(batch)

    def _take(self) -> tuple[list[tuple[Progress, OnWritten]], list[tuple[Progress, OnWritten]]]:
        """One write per execution, as long as they are not too large together.

        A driver's second write waits for the next batch, and so does all that comes after it: its order is kept.
        """
        batch: dict[UUID, tuple[Progress, OnWritten]] = {}
        later: list[tuple[Progress, OnWritten]] = []
        behind: set[UUID] = set()
        size = 0
        for write in self._waiting:
            execution_id = write[0].execution_id
            more = sum(len(row.output or b"") for row in write[0].nodes)
            if execution_id in batch or execution_id in behind or (batch and size + more > LARGEST_BATCH):
                behind.add(execution_id)
                later.append(write)
            else:
                batch[execution_id] = write
                size += more
        return list(batch.values()), later

    def _write_batch(self, batch: list[tuple[Progress, OnWritten]]) -> None:
        for tries in range(1_000_000):
            try:
                with session_scope() as session:
                    ours = journal.record(session, [progress for progress, _ in batch])
                break
            except (OperationalError, PoolTimeout) as error:
                code = getattr(getattr(error, "orig", None), "pgcode", None)
                if code == TOO_LARGE or (code == TOO_LONG and len(batch) > 1):
                    self._write_apart(batch, error)  # the same again would not pass either
                    return
                # The database is away. Leases run out meanwhile; whoever claims next raises the epoch, and these
                # writes are then left out by the fence.
                log.warning("journal.retry", error=type(error).__name__, writes=len(batch), tries=tries)
                time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            except Exception as error:
                self._write_apart(batch, error)
                return
        for progress, on_written in batch:
            on_written(None if progress.execution_id in ours else LeaseLost())

    def _write_apart(self, batch: list[tuple[Progress, OnWritten]], error: Exception) -> None:
        """One write of the batch cannot be stored: find it, and let the others pass."""
        if len(batch) == 1:
            progress, on_written = batch[0]
            cause = type(error.orig).__name__ if isinstance(error, DBAPIError) else type(error).__name__
            log.error("journal.refused", execution_id=str(progress.execution_id), error=cause)
            on_written(error)
            return
        for write in batch:
            self._write_batch([write])
