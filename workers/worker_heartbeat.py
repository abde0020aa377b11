"""Heartbeat of a worker process: it tests that the broker still reaches it, and exits when it is unresponsive.

A consumer with a half-open connection gets no messages and notices nothing. So the process sends itself a message,
through the connection that task messages come by, and measures the silence. While the broker is unreachable for all
workers that proves nothing; once the broker accepted our own message, or other workers receive, the fault is here.
"""

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

import threads
from models.db import session_scope
from models.services.operations import queue_pauses, worker_heartbeats
from models.services.operations.worker_heartbeats import SHUTDOWN_AFTER_INTERVALS, Calls, WorkerInfo

log = structlog.get_logger()


class ConsumerProbe:
    """The probe of one worker process, in one thread. `record_echo` may be called from any other thread."""

    def __init__(
        self,
        me: WorkerInfo,
        *,
        echo: Callable[[], bool],
        full: Callable[[], bool],
        leave: Callable[[], None],
        calls: Callable[[], Calls],
        pause: Callable[[frozenset[str]], None],
    ) -> None:
        """Configure the probe; it runs from `start` to `stop`.

        Args:
            echo: sends this process a message through the broker; returns whether the broker accepted it.
            full: returns whether all threads are busy, so that this process fetches no messages.
            leave: ends the process; its supervisor starts another one.
            calls: returns the number of calls of this process in progress, by provider.
            pause: stops consuming the queues with these names, and consumes the others again.
        """
        self._me = me
        self._echo = echo
        self._full = full
        self._leave = leave
        self._calls = calls
        self._pause = pause
        self._last_message_at = time.monotonic()
        self._asked_at: float | None = None  # the first echo since the last message
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the probe's thread."""
        self._thread = threads.keep_running("consumer-probe", self._run)

    def stop(self) -> None:
        """Stop the probe and delete this worker's row; the process shuts down in good order."""
        self._stop.set()
        if self._thread:
            self._thread.join(5)
        try:
            with session_scope() as session:
                worker_heartbeats.leave(session, self._me)
        except SQLAlchemyError as error:
            log.warning("worker.sign_off_failed", error=type(error).__name__)

    def record_echo(self) -> None:
        """Record that a message arrived."""
        self._last_message_at = time.monotonic()
        self._asked_at = None

    def _run(self) -> None:
        while True:
            if self._is_unresponsive():
                log.error(
                    "worker.unresponsive",
                    worker=self._me.name,
                    silent_seconds=round(time.monotonic() - self._last_message_at),
                )
                self._leave()
                return
            if self._stop.wait(self._me.report_interval):
                return

    def _is_unresponsive(self) -> bool:
        """Report the heartbeat and return whether this process no longer gets messages."""
        full = self._full()
        if full:
            self.record_echo()  # silence counts from the moment when there is room again
        elif self._echo() and self._asked_at is None:
            self._asked_at = time.monotonic()
        others_responsive = self._report(full=full)
        now, asked_at = time.monotonic(), self._asked_at
        longest = SHUTDOWN_AFTER_INTERVALS * self._me.report_interval
        unanswered = asked_at is not None and now - asked_at > longest
        return now - self._last_message_at > longest and (unanswered or others_responsive)

    def _report(self, *, full: bool) -> bool:
        threads.store_failures()
        try:
            with session_scope() as session:
                silent = time.monotonic() - self._last_message_at
                others = worker_heartbeats.report(session, self._me, silent=silent, full=full, calls=self._calls())
                paused = queue_pauses.paused(session)
        except SQLAlchemyError as error:
            log.warning("worker.report_failed", error=type(error).__name__)
            return False
        self._pause(paused)
        return others
