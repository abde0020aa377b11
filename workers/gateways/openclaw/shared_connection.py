"""The process's connection to the gateway: opened when first needed, shared by all turns, reopened when lost.

Every connection receives the events of every run of the gateway, so with a connection per turn each event would be
parsed once per turn. One shared connection parses it once per process.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import threads
from settings import OpenClawSettings
from workers.gateways.base import CallFailed
from workers.gateways.openclaw import classify, events
from workers.gateways.openclaw.connection import Dialler, GatewayConnection, LinkLost, start_reader
from workers.gateways.openclaw.inbox import ConnectRefused, Inbox, Lost, Opened

log = logging.getLogger(__name__)

TERMINAL_LATCH_SECONDS = 300.0  # ten wrong tokens lock us out, so all callers share a refusal for a while
UNREACHABLE_LATCH_SECONDS = 0.5
ORPHAN_WATCH_SECONDS = 600.0
LATCHES = {
    classify.UNREACHABLE.code: UNREACHABLE_LATCH_SECONDS,
    classify.NO_SCOPES.code: 30.0,
    classify.CONNECT["PAIRING_REQUIRED"].code: 10.0,
}


class SharedConnection:
    """Hands out the current connection and routes events to the runs that they belong to."""

    def __init__(self, settings: OpenClawSettings) -> None:
        self._dialler = Dialler(settings)
        self._lock = threading.Lock()
        self._connection: GatewayConnection | None = None
        self._dialling = False
        self._closed = False
        self._waiting: list[Inbox] = []
        self._runs: dict[str, Inbox] = {}
        self._connect_error: tuple[float, CallFailed] | None = None
        self._orphans: dict[str, float] = {}

    def want(self, inbox: Inbox) -> None:
        """Request a connection: `Opened` or `ConnectRefused` will arrive in the inbox."""
        with self._lock:
            verdict = self._verdict()
            if verdict is None:
                self._waiting.append(inbox)
                start, self._dialling = not self._dialling, True
        if verdict is not None:
            inbox.inbox.put(verdict)
        elif start:
            self._start_dialling()

    def _start_dialling(self) -> None:
        try:
            threads.run_once("openclaw-dial", self._dial)
        except RuntimeError as error:  # no thread can be started: the waiters must get an answer
            self._settle(ConnectRefused(classify.UNREACHABLE.failure(quote=type(error).__name__)))

    def _verdict(self) -> Opened | ConnectRefused | None:
        if self._closed:
            return ConnectRefused(classify.CLOSED.failure())
        if self._connection is not None and self._connection.alive:
            return Opened(self._connection)
        if self._connect_error is not None and time.monotonic() < self._connect_error[0]:
            return ConnectRefused(self._connect_error[1])
        return None

    def _dial(self) -> None:
        verdict: Opened | ConnectRefused
        try:
            link = self._dialler.dial()
            verdict = Opened(link)
            start_reader(link, self._on_event, self._on_end)
        except Exception as error:  # the waiters must get an answer in any case
            failure = (
                error if isinstance(error, CallFailed) else classify.UNREACHABLE.failure(quote=type(error).__name__)
            )
            if self._connect_error is None or self._connect_error[1].code != failure.code:
                log.warning("openclaw.refused", extra={"code": failure.code})
            verdict = ConnectRefused(failure)
        self._settle(verdict)

    def _settle(self, verdict: Opened | ConnectRefused) -> None:
        with self._lock:
            self._dialling = False
            waiting, self._waiting = self._waiting, []
            if isinstance(verdict, ConnectRefused):
                self._connect_error = (time.monotonic() + latch_seconds(verdict.error), verdict.error)
            else:
                self._connection, self._connect_error = verdict.connection, None
        for inbox in waiting:
            inbox.inbox.put(verdict)

    def follow(self, run_id: str, inbox: Inbox) -> None:
        """Route the events of a run, and the loss of the connection, to `inbox`."""
        with self._lock:
            self._runs[run_id] = inbox

    def unfollow(self, run_id: str, inbox: Inbox) -> None:
        """Stop routing, unless another caller follows the run by now."""
        with self._lock:
            if self._runs.get(run_id) is inbox:
                del self._runs[run_id]

    def administrate(self, inbox: Inbox) -> GatewayConnection:
        """Open a short-lived administrator connection, whose loss goes to `inbox`; raises `CallFailed`."""
        link = self._dialler.dial_as_admin()
        start_reader(link, lambda *_: None, lambda lost: inbox.inbox.put(Lost(lost)))
        return link

    def banish(self, session_key: str) -> None:
        """Stop every run that the gateway starts by itself in this session from now on.

        After a crash the gateway resumes interrupted turns by itself a little later; no caller waits for them, but they
        cost money.
        """
        now = time.monotonic()
        for old in [key for key, until in self._orphans.copy().items() if until < now]:
            self._orphans.pop(old, None)
        self._orphans[session_key] = now + ORPHAN_WATCH_SECONDS

    def close(self) -> None:
        """End the connection and refuse new ones."""
        with self._lock:
            self._closed, link = True, self._connection
        if link is not None:
            link.close()

    def _on_event(self, link: GatewayConnection, event: str, payload: Mapping[str, Any]) -> None:
        run_id = events.run_id_of(event, payload)
        inbox = self._runs.get(run_id) if run_id else None
        if inbox is not None:
            inbox.put(event, payload)
        elif run_id and self._orphans and events.session_of(event, payload) in self._orphans:
            self._stop_orphan(link, str(events.session_of(event, payload)), run_id)

    def _stop_orphan(self, link: GatewayConnection, session_key: str, run_id: str) -> None:
        log.warning("openclaw.orphan_stopped", extra={"session_key": session_key, "run_id": run_id})
        try:
            link.request("sessions.abort", {"key": session_key, "runId": run_id}, lambda *_: None)
        except LinkLost:
            return

    def _on_end(self, link: GatewayConnection) -> None:
        with self._lock:
            if self._connection is link:
                self._connection = None
            runs = list(self._runs.values())
        for inbox in runs:
            inbox.inbox.put(Lost(link))


def latch_seconds(failure: CallFailed) -> float:
    """Seconds for which all callers share a refused connection, so that they do not each try again."""
    if failure.code in LATCHES:
        return LATCHES[failure.code]
    return failure.retry_after if failure.retryable and failure.retry_after is not None else TERMINAL_LATCH_SECONDS
