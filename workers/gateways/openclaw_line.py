"""The process's one line to the gateway: opened when first needed, shared by all turns, opened again when it is lost.

Every connection hears the events of every run of the gateway, so a connection per turn would parse them all once per
turn. One shared connection parses them once per process.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from settings import OpenClawSettings
from workers.gateways import openclaw_classify as classify
from workers.gateways import openclaw_events as events
from workers.gateways.base import CallFailed
from workers.gateways.openclaw_socket import Dialler, Link, LinkLost, start_reader
from workers.gateways.openclaw_watch import Lost, Opened, Refused, Watch

log = logging.getLogger(__name__)

TERMINAL_LATCH_SECONDS = 300.0  # ten wrong tokens lock us out, so a refusal counts for every caller for a while
UNREACHABLE_LATCH_SECONDS = 0.5
GHOST_WATCH_SECONDS = 600.0
LATCHES = {
    classify.UNREACHABLE.code: UNREACHABLE_LATCH_SECONDS,
    classify.NO_SCOPES.code: 30.0,
    classify.CONNECT["PAIRING_REQUIRED"].code: 10.0,
}


class Line:
    """Gives out the current link, wakes waiters, and sends events to the runs that they belong to."""

    def __init__(self, settings: OpenClawSettings) -> None:
        self._dialler = Dialler(settings)
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._dialling = False
        self._closed = False
        self._waiting: list[Watch] = []
        self._runs: dict[str, Watch] = {}
        self._refusal: tuple[float, CallFailed] | None = None
        self._ghosts: dict[str, float] = {}

    def want(self, watch: Watch) -> None:
        """Ask for a link: `Opened` or `Refused` will arrive in the watch's inbox."""
        with self._lock:
            verdict = self._verdict()
            if verdict is None:
                self._waiting.append(watch)
                start, self._dialling = not self._dialling, True
        if verdict is not None:
            watch.inbox.put(verdict)
        elif start:
            threading.Thread(target=self._dial, name="openclaw-dial", daemon=True).start()

    def _verdict(self) -> Opened | Refused | None:
        if self._closed:
            return Refused(classify.CLOSED.failure())
        if self._link is not None and self._link.alive:
            return Opened(self._link)
        if self._refusal is not None and time.monotonic() < self._refusal[0]:
            return Refused(self._refusal[1])
        return None

    def _dial(self) -> None:
        verdict: Opened | Refused
        try:
            link = self._dialler.dial()
            verdict = Opened(link)
            start_reader(link, self._on_event, self._on_end)
        except Exception as error:  # whatever went wrong, the waiters must hear of it
            failure = (
                error if isinstance(error, CallFailed) else classify.UNREACHABLE.failure(quote=type(error).__name__)
            )
            if self._refusal is None or self._refusal[1].code != failure.code:
                log.warning("openclaw_refuses", extra={"code": failure.code})
            verdict = Refused(failure)
        self._settle(verdict)

    def _settle(self, verdict: Opened | Refused) -> None:
        with self._lock:
            self._dialling = False
            waiting, self._waiting = self._waiting, []
            if isinstance(verdict, Refused):
                self._refusal = (time.monotonic() + latch_seconds(verdict.error), verdict.error)
            else:
                self._link, self._refusal = verdict.link, None
        for watch in waiting:
            watch.inbox.put(verdict)

    def follow(self, run_id: str, watch: Watch) -> None:
        """Send the events of a run, and the loss of the link, to `watch`."""
        with self._lock:
            self._runs[run_id] = watch

    def unfollow(self, run_id: str, watch: Watch) -> None:
        """Stop that, unless another caller follows the run by now."""
        with self._lock:
            if self._runs.get(run_id) is watch:
                del self._runs[run_id]

    def administrate(self, watch: Watch) -> Link:
        """A short-lived connection with an administrator's rights, whose loss `watch` hears; raises `CallFailed`."""
        link = self._dialler.dial_as_admin()
        start_reader(link, lambda *_: None, lambda lost: watch.inbox.put(Lost(lost)))
        return link

    def banish(self, session_key: str) -> None:
        """Stop whatever the gateway starts by itself in this session from now on.

        After a crash it continues broken-off turns by itself a little later: nobody waits for them, somebody pays.
        """
        now = time.monotonic()
        for old in [key for key, until in self._ghosts.copy().items() if until < now]:
            self._ghosts.pop(old, None)
        self._ghosts[session_key] = now + GHOST_WATCH_SECONDS

    def close(self) -> None:
        """End the connection and refuse new ones."""
        with self._lock:
            self._closed, link = True, self._link
        if link is not None:
            link.close()

    def _on_event(self, link: Link, event: str, payload: Mapping[str, Any]) -> None:
        run_id = events.run_id_of(event, payload)
        watch = self._runs.get(run_id) if run_id else None
        if watch is not None:
            watch.hear(event, payload)
        elif run_id and self._ghosts and events.session_of(event, payload) in self._ghosts:
            self._stop_ghost(link, str(events.session_of(event, payload)), run_id)

    def _stop_ghost(self, link: Link, session_key: str, run_id: str) -> None:
        log.warning("openclaw_ghost_stopped", extra={"session_key": session_key, "run_id": run_id})
        try:
            link.request("sessions.abort", {"key": session_key, "runId": run_id}, lambda *_: None)
        except LinkLost:
            return

    def _on_end(self, link: Link) -> None:
        with self._lock:
            if self._link is link:
                self._link = None
            runs = list(self._runs.values())
        for watch in runs:
            watch.inbox.put(Lost(link))


def latch_seconds(failure: CallFailed) -> float:
    """How long a refused hello counts for everyone, so that many turns do not all knock at a closed door."""
    if failure.code in LATCHES:
        return LATCHES[failure.code]
    return failure.retry_after if failure.retryable and failure.retry_after is not None else TERMINAL_LATCH_SECONDS
