"""A worker process's own ear: it says that it is alive, tests that the broker still reaches it, and leaves when deaf.

A consumer whose connection is half open takes no jobs and notices nothing. So the process sends itself a message,
through the same connection that jobs come by, and counts how long nothing arrived. While the broker is away from
everybody that proves nothing; once our own message was accepted, or others hear, the fault is here.
"""

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from models.db import session_scope
from models.services import presence
from models.services.presence import LEAVES_AFTER, Calls, Me

log = structlog.get_logger()


class Ear:
    """One thread per worker process. `heard` may be called from any other."""

    def __init__(
        self,
        me: Me,
        *,
        echo: Callable[[], bool],
        full: Callable[[], bool],
        leave: Callable[[], None],
        calls: Callable[[], Calls],
    ) -> None:
        """Listen until `stop`.

        Args:
            echo: sends this process a message through the broker; whether the broker took it.
            full: whether this process takes no messages for now, because all its threads are at work.
            leave: ends the process, so that its supervisor starts another.
            calls: how many calls this process has under way at each provider.
        """
        self._me = me
        self._echo = echo
        self._full = full
        self._leave = leave
        self._calls = calls
        self._heard_at = time.monotonic()
        self._asked_at: float | None = None  # the first echo since something was heard
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ear", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """The process ends in good order."""
        self._stop.set()
        self._thread.join(5)
        try:
            with session_scope() as session:
                presence.leave(session, self._me)
        except SQLAlchemyError as error:
            log.warning("worker.not_signed_off", error=type(error).__name__)

    def heard(self) -> None:
        """The broker brought something."""
        self._heard_at = time.monotonic()
        self._asked_at = None

    def _run(self) -> None:
        while True:
            if self._is_deaf():
                log.error("worker.deaf", worker=self._me.name, silent_seconds=round(time.monotonic() - self._heard_at))
                self._leave()
                return
            if self._stop.wait(self._me.pace):
                return

    def _is_deaf(self) -> bool:
        """Say how we are, and judge it."""
        full = self._full()
        if full:
            self.heard()  # silence counts from the moment when there is room again
        elif self._echo() and self._asked_at is None:
            self._asked_at = time.monotonic()
        others_hear = self._report(full=full)
        now, asked_at = time.monotonic(), self._asked_at
        longest = LEAVES_AFTER * self._me.pace
        unanswered = asked_at is not None and now - asked_at > longest
        return now - self._heard_at > longest and (unanswered or others_hear)

    def _report(self, *, full: bool) -> bool:
        try:
            with session_scope() as session:
                silent = time.monotonic() - self._heard_at
                return presence.report(session, self._me, silent=silent, full=full, calls=self._calls())
        except SQLAlchemyError as error:
            log.warning("worker.not_reported", error=type(error).__name__)
            return False
