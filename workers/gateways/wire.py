"""One HTTP/1.1 request over one connection to one checked address, bounded in time, size and headers.

Connections are urllib3's, kept alive in a pool of our own keyed by scheme, host, port and address, so that a pooled
connection is as pinned as a new one. Nothing here reads proxy settings, follows redirects or tries twice, but for a
kept-alive connection that its server had closed.
"""

import logging
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, IncompleteRead

from urllib3.exceptions import DecodeError, HTTPError, NewConnectionError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse

from workers.gateways.base import CallFailed
from workers.gateways.egress import Destination, Url
from workers.gateways.pinned import BODY_LIMIT, Key, Pinned, TooMuch, connection_for, keys_of
from workers.gateways.watch import Watch

IDLE_SECONDS = 30.0
IDLE_PER_ADDRESS = 64
IDLE_TOTAL = 512
CHUNK = 64 * 1024  # bytes read at a time, and all that is read of an answer whose body hardly matters
REPEATABLE = frozenset(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
ENCODINGS = frozenset(["gzip", "x-gzip", "deflate", "identity", ""])

# urllib3 would log whole URLs of users when a server sends odd headers.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Request:
    """What is sent. Headers and body stay out of its repr, because they carry secrets."""

    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice is as good as once: by its method, or because it carries a key."""
        return self.method in REPEATABLE or any(name.lower() == "idempotency-key" for name in self.headers)


@dataclass(frozen=True)
class Reply:
    """What came back, decoded from gzip or deflate; header names are lower case, repeated ones joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class _Stale(Exception):
    """A kept-alive connection turned out to be closed before it answered."""


class HttpPool:
    """Kept-alive connections of one process, for many threads. `tls` replaces the system's trust in certificates."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls or ssl.create_default_context()
        self._idle = _Idle()
        weakref.finalize(self, self._idle.clear)  # a pool that nobody needs any more leaves no socket open

    def exchange(self, to: Destination, request: Request, watch: Watch) -> Reply:
        """Send one request to one of the destination's addresses; raises `CallFailed` (codes: docs/egress.md)."""
        if (kept := self._idle.take(keys_of(to.url, to.addresses))) is not None:
            kept.watch = watch
            try:
                return self._converse(kept, to.url, request, watch, kept_alive=True)
            except _Stale:  # the server's idle time was over; nothing was answered, so a fresh one may try
                pass
        return self._converse(self._connect(to, watch), to.url, request, watch)

    def close(self) -> None:
        """Close every idle connection; the pool can be used again."""
        self._idle.clear()

    def _connect(self, to: Destination, watch: Watch) -> Pinned:
        """Connect to the first address that answers."""
        for key in keys_of(to.url, to.addresses):
            connection = connection_for(key, watch, self._tls)
            try:
                connection.connect()
                return connection
            except ssl.SSLCertVerificationError as error:
                watch.check()
                reason = error.verify_message or "not valid"
                raise CallFailed("tls_failed", f"The certificate of {to.url.host} is refused: {reason}.") from None
            except (OSError, NewConnectionError):
                watch.check()
            connection.close()
        raise CallFailed("connect_failed", f"{to.url.authority} could not be reached.", retryable=True)

    def _converse(
        self, connection: Pinned, url: Url, request: Request, watch: Watch, *, kept_alive: bool = False
    ) -> Reply:
        complete, response = False, None
        try:
            connection.adopt(connection.sock)
            watch.repeatable = watch.repeatable and request.repeatable
            response = _send(connection, url, request, kept_alive=kept_alive)
            reply, complete = _read(response)
            watch.check()
            return reply
        except (TooMuch, OSError, HTTPException, HTTPError, ValueError) as error:
            complete = False
            raise _failure(error, url, watch) from None
        finally:
            watch.hold(None)
            if complete and connection.sock is not None:
                connection.watch = None
                self._idle.give(connection)
            else:
                if response is not None:
                    response.close()
                connection.close()


def _send(connection: Pinned, url: Url, request: Request, *, kept_alive: bool) -> BaseHTTPResponse:
    try:
        connection.request(
            request.method, url.target, body=request.body, headers=request.headers, preload_content=False
        )
        return connection.getresponse()
    except ConnectionError:  # http.client's RemoteDisconnected is one, too
        if kept_alive and request.repeatable and connection.watch is not None and not connection.watch.ended:
            raise _Stale from None
        raise


def _read(response: BaseHTTPResponse) -> tuple[Reply, bool]:
    """The reply, and whether its body was read to the end. Of an error or a redirect the beginning is enough."""
    pairs = response.headers.itermerged()
    headers = {name.lower().replace("\x00", ""): value.replace("\x00", "") for name, value in pairs}
    if headers.get("content-encoding", "").lower() not in ENCODINGS:
        raise DecodeError("an encoding that was not asked for")
    matters = 200 <= response.status < 300
    limit = BODY_LIMIT if matters else CHUNK
    if matters and (response.length_remaining or 0) > limit:
        raise TooMuch
    body = bytearray()
    try:
        while chunk := response.read(CHUNK):
            body += chunk
            if len(body) > limit and matters:
                raise TooMuch
            if len(body) > limit:
                return Reply(response.status, headers, bytes(body[:limit])), False
    except (TooMuch, OSError, HTTPException, HTTPError, ValueError):
        if matters:
            raise
        return Reply(response.status, headers, bytes(body)), False
    return Reply(response.status, headers, bytes(body)), True


def _failure(error: Exception, url: Url, watch: Watch) -> CallFailed:
    """What a broken conversation means to the caller; nothing of the request is in it."""
    if isinstance(error, TimeoutError | ReadTimeoutError) or watch.ended:
        return watch.reason()
    if isinstance(error, TooMuch):
        return CallFailed("too_large", f"{url.authority} answered with more than {BODY_LIMIT // 1024} KiB.")
    code, what = "connection_lost", "closed the connection before its answer was complete"
    if isinstance(error, DecodeError) or not isinstance(error, OSError | HTTPError | IncompleteRead):
        code, what = "bad_response", "gave an answer that is not readable as HTTP"
    outcome = "failed" if watch.repeatable else "unknown"
    return CallFailed(code, f"{url.authority} {what}.", retryable=watch.repeatable, outcome=outcome)


class _Idle:
    """Connections that wait for their next request, newest first, bounded in number and age."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Key, deque[Pinned]] = {}
        self._pruned_at = time.monotonic()

    def take(self, keys: list[Key]) -> Pinned | None:
        """One that is still good for one of the keys."""
        while True:
            with self._lock:
                waiting = next((found for key in keys if (found := self._waiting.get(key))), None)
                connection = waiting.pop() if waiting else None
            if connection is None:
                return None
            # `is_connected` is false when there is something to read: its end, or bytes that nobody asked for.
            if time.monotonic() - connection.idle_since < IDLE_SECONDS and connection.is_connected:
                return connection
            connection.close()

    def give(self, connection: Pinned) -> None:
        """Keep a connection, or close it when there are enough."""
        connection.idle_since = now = time.monotonic()
        with self._lock:
            surplus = self._outdated(now) if now - self._pruned_at > IDLE_SECONDS else []
            waiting = self._waiting.setdefault(connection.key, deque())
            if len(waiting) < IDLE_PER_ADDRESS and sum(map(len, self._waiting.values())) < IDLE_TOTAL:
                waiting.append(connection)
            else:
                surplus.append(connection)
        for unwanted in surplus:
            unwanted.close()

    def clear(self) -> None:
        """Close them all."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for connection in (one for queue in waiting.values() for one in queue):
            connection.close()

    def _outdated(self, now: float) -> list[Pinned]:
        self._pruned_at = now
        old: list[Pinned] = []
        for key, waiting in list(self._waiting.items()):
            while waiting and now - waiting[0].idle_since > IDLE_SECONDS:
                old.append(waiting.popleft())
            if not waiting:
                del self._waiting[key]
        return old
