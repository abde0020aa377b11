"""The HTTP driver, for gateways whose WebSocket cannot be used: one request to `/v1/chat/completions` per turn.

It has no idempotency and no recovery: closing the connection ends the run, and a repeat is a new model call. Use it
only where that is acceptable.
"""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from models.rules.graph.effects import AgentTurn, TextResult
from settings import OpenClawSettings
from workers.gateways.base import CallFailed, Cancel, Deadline
from workers.gateways.http.trust import system_trust
from workers.gateways.openclaw import classify, classify_http
from workers.gateways.openclaw.caller import Tuning
from workers.gateways.openclaw.connection import VERSION, encode
from workers.gateways.openclaw.contract import (
    Cancelled,
    Health,
    OnStart,
    OnStatus,
    RunRef,
    State,
    Status,
    StillRunning,
    Unknown,
)
from workers.gateways.openclaw.inbox import SLOT, STOP, Inbox, Slots
from workers.gateways.openclaw.ws import allowed_agent, is_ready

CONNECT_SECONDS = 5.0
Connection = HTTPConnection


class _Call:
    """One connection in use; `stop` may be called by another thread and ends the run in the gateway."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True
        sock = self._connection.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


class HttpOpenClaw:
    """OpenClaw over HTTP; see `contract.OpenClaw`."""

    def __init__(self, settings: OpenClawSettings, tuning: Tuning | None = None) -> None:
        self._settings = settings
        self._tuning = tuning or Tuning()
        self._slots = Slots(settings.max_in_flight)
        self._calls: dict[str, _Call] = {}
        self._lock = threading.Lock()
        self._refusal: tuple[float, CallFailed] | None = None

    def turn(
        self,
        turn: AgentTurn,
        ref: RunRef,
        *,
        cancel: Cancel,
        on_status: OnStatus,
        on_start: OnStart,
        deadline: Deadline | None = None,
    ) -> TextResult:
        """Run one turn to its end; raises `CallFailed`."""
        body = encode(self._body(turn))
        with self._slot(cancel, on_status, deadline):
            self._refuse_if_latched()
            on_start(ref.as_json())
            if cancel.is_set:
                raise classify.CANCELLED.failure()
            limit = min(turn.timeout + self._tuning.grace, deadline.remaining if deadline else float("inf"))
            on_status(Status(State.RUNNING))
            return self._exchange(ref, body, cancel, Deadline(limit))

    def reconcile(
        self, turn: AgentTurn, ref: RunRef, *, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None = None
    ) -> TextResult | StillRunning | Unknown:
        """Return `Unknown`: over HTTP a run ends with its connection and leaves no record."""
        return Unknown("Over HTTP, OpenClaw keeps no record of a turn.")

    def cancel(self, ref: RunRef) -> Cancelled:
        """Close the connection of a turn of this process; turns of other processes cannot be stopped."""
        call = self._calls.get(ref.key)
        if call is None:
            return Cancelled.UNCONFIRMED
        call.stop()
        return Cancelled.STOPPED

    def agents(self) -> frozenset[str]:
        """List the agents that `/v1/models` names."""
        self._refuse_if_latched()
        status, headers, data = self._ask("GET", "/v1/models", Deadline(self._tuning.rpc))
        if status != 200:
            raise self._failure(status, headers, data)
        return classify_http.agents_in(data)

    def health(self) -> Health:
        """Readiness as the gateway reports it; the token is not tried, because wrong tokens lock us out."""
        ready, detail = is_ready(self._settings.url)
        return Health(ready, "OpenClaw is ready." if ready else detail)

    def close(self) -> None:
        """End the turns in flight."""
        for call in list(self._calls.values()):
            call.stop()

    def _body(self, turn: AgentTurn) -> dict[str, Any]:
        system = [{"role": "system", "content": turn.system}] if turn.system else []
        return {
            "model": f"openclaw/{allowed_agent(self._settings, turn.agent_id)}",
            "messages": [*system, {"role": "user", "content": turn.prompt}],
        }

    @contextmanager
    def _slot(self, cancel: Cancel, on_status: OnStatus, deadline: Deadline | None) -> Iterator[None]:
        inbox = Inbox()
        if not self._slots.take(inbox):
            on_status(Status(State.QUEUED, {"for": "slot"}))
            forget = cancel.on_set(lambda: inbox.inbox.put(STOP))
            try:
                item = inbox.inbox.get(timeout=deadline.remaining if deadline else None)
            except BaseException:  # the deadline passed (queue.Empty), or the thread must end
                self._slots.leave(inbox)
                if deadline is None or not deadline.passed:
                    raise
                raise classify.NO_SLOT.failure() from None
            finally:
                forget()
            if item is not SLOT:
                self._slots.leave(inbox)
                raise classify.CANCELLED.failure()
        try:
            yield
        finally:
            self._slots.release()

    def _refuse_if_latched(self) -> None:
        with self._lock:
            if self._refusal is not None and time.monotonic() < self._refusal[0]:
                raise self._refusal[1]

    def _exchange(self, ref: RunRef, body: bytes, cancel: Cancel, deadline: Deadline) -> TextResult:
        connection = self._connect(deadline)
        call = self._calls[ref.key] = _Call(connection)
        forget = cancel.on_set(call.stop)
        try:
            status, headers, data = self._request(connection, ref, body)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise self._broken(call, cancel, deadline, error) from error
        finally:
            forget()
            self._calls.pop(ref.key, None)
            connection.close()
        if status == 200:
            return classify_http.answer(data)
        raise self._failure(status, headers, data)

    def _failure(self, status: int, headers: Mapping[str, str], data: bytes) -> CallFailed:
        failure = classify_http.failure(status, headers, data)
        if failure.code in (classify.WRONG_TOKEN.code, classify.LOCKED_OUT.code):
            with self._lock:
                self._refusal = (time.monotonic() + classify.LOCKOUT_SECONDS, failure)
        return failure

    def _ask(self, method: str, path: str, deadline: Deadline) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request that is not a turn."""
        connection = self._connect(deadline)
        try:
            connection.request(method, path, headers=self._headers())
            response = connection.getresponse()
            return response.status, response.headers, response.data
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise classify.UNREACHABLE.failure(quote=type(error).__name__) from error
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._settings.token}", "user-agent": f"agentforge/{VERSION}"}

    def _connect(self, deadline: Deadline) -> Connection:
        parts = urlsplit(self._settings.url)
        secure = parts.scheme in ("https", "wss")
        if parts.hostname is None:
            raise classify.WRONG_URL.failure()
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=max(0.1, deadline.remaining))
        connection = (
            HTTPSConnection(parts.hostname, parts.port or 443, timeout=CONNECT_SECONDS, ssl_context=system_trust())
            if secure
            else HTTPConnection(parts.hostname, parts.port or 80, timeout=CONNECT_SECONDS)
        )
        try:
            connection.connect()
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise classify.UNREACHABLE.failure(quote=type(error).__name__) from error
        # Nothing arrives while the model works, so only the deadline bounds a read.
        connection.sock.settimeout(timeout.read_timeout)
        return connection

    def _request(self, connection: Connection, ref: RunRef, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        connection.timeout = connection.sock.gettimeout()
        connection.request(
            "POST",
            "/v1/chat/completions",
            body=body,
            headers={
                **self._headers(),
                "content-type": "application/json",
                "x-openclaw-session-key": ref.session_key,
            },
        )
        response = connection.getresponse()
        return response.status, response.headers, response.data

    def _broken(self, call: _Call, cancel: Cancel, deadline: Deadline, error: Exception) -> CallFailed:
        if cancel.is_set or call.stopped:
            return classify.CANCELLED.failure()
        if deadline.passed or isinstance(error, TimeoutError | urllib3.exceptions.ReadTimeoutError):
            return classify.TIMEOUT.failure()
        return classify.LOST.failure(quote=type(error).__name__)
