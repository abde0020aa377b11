"""Send one HTTP/1.1 request over one connection to one checked address, bounded in time, size and headers.

Connections are pooled by scheme, host, port and address, so that a reused connection is as pinned as a new one. It
reads no proxy settings, follows no redirects, and retries only when the server had closed a kept-alive connection.
"""

import ssl
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.gateways.base import CallFailed
from workers.gateways.http.call_limits import CallLimits
from workers.gateways.http.connections import (
    BODY_LIMIT,
    Connection,
    Disconnected,
    Key,
    Reply,
    TooMuch,
    Unreadable,
    keys_of,
)
from workers.gateways.http.egress import Destination, Url
from workers.gateways.http.event_loop import event_loop
from workers.gateways.http.trust import system_trust

IDLE_SECONDS = 30.0
IDLE_PER_ADDRESS = 256
IDLE_TOTAL = 512
REPEATABLE = frozenset(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
WITH_BODY = frozenset(["POST", "PUT", "PATCH"])


@dataclass(frozen=True)
class Request:
    """A request to send. Headers and body stay out of its repr, because they carry secrets."""

    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent twice: by its method, or because it carries an idempotency key."""
        return self.method in REPEATABLE or any(name.lower() == "idempotency-key" for name in self.headers)

    def encoded(self, target: str) -> bytes:
        """The bytes of the request."""
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers.items())]
        if self.body is not None or self.method in WITH_BODY:
            lines.append(f"Content-Length: {len(self.body or b'')}")
        return "\r\n".join((*lines, "", "")).encode("latin-1") + (self.body or b"")


class HttpPool:
    """Kept-alive connections of one process, on its event loop. `tls` replaces the system's trust in certificates."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls or system_trust()
        self._idle = _Idle()
        # A discarded pool leaves no socket open.
        weakref.finalize(self, event_loop().soon, self._idle.clear)

    async def exchange(self, to: Destination, request: Request, limits: CallLimits) -> Reply:
        """Send one request to one of the destination's addresses; raises `CallFailed` (codes: docs/egress.md)."""
        if (kept := self._idle.take(keys_of(to.url, to.addresses))) is not None:
            try:
                return await self._converse(kept, to.url, request, limits)
            except Disconnected as end:
                # Nothing was answered, so a fresh connection may try.
                if not (end.is_silent and request.repeatable):
                    raise _failure(end, to.url, limits) from None
        connection = await self._connect(to)
        try:
            return await self._converse(connection, to.url, request, limits)
        except Disconnected as end:
            raise _failure(end, to.url, limits) from None

    async def _connect(self, to: Destination) -> Connection:
        """Connect to the first address that answers."""
        for key in keys_of(to.url, to.addresses):
            try:
                return await Connection.to(key, self._tls)
            except ssl.SSLCertVerificationError as error:
                reason = error.verify_message or "not valid"
                raise CallFailed("tls_failed", f"The certificate of {to.url.host} is refused: {reason}.") from None
            except OSError:  # also when it took too long
                continue
        raise CallFailed("connect_failed", f"{to.url.authority} could not be reached.", retryable=True)

    async def _converse(self, connection: Connection, url: Url, request: Request, limits: CallLimits) -> Reply:
        """Send the request and read the reply; raises `CallFailed`, or `Disconnected` for the caller to handle."""
        limits.repeatable = limits.repeatable and request.repeatable
        limits.sent = True
        reusable = False
        try:
            reply, reusable = await connection.exchange(request.method, request.encoded(url.target))
            return reply
        except (TooMuch, Unreadable) as error:
            raise _failure(error, url, limits) from None
        finally:
            if reusable:
                self._idle.give(connection)
            else:
                connection.close()


def _failure(error: Exception, url: Url, limits: CallLimits) -> CallFailed:
    """Turn a broken exchange into `CallFailed`, without anything of the request."""
    if isinstance(error, TooMuch):
        return CallFailed("too_large", f"{url.authority} answered with more than {BODY_LIMIT // 1024} KiB.")
    code, what = "connection_lost", "closed the connection before its response was complete"
    if isinstance(error, Unreadable):
        code, what = "bad_response", "gave a response that is not readable as HTTP"
    outcome = "failed" if limits.repeatable else "unknown"
    return CallFailed(code, f"{url.authority} {what}.", retryable=limits.repeatable, outcome=outcome)


class _Idle:
    """Connections that wait for their next request, newest first, bounded in number and age."""

    def __init__(self) -> None:
        self._waiting: dict[Key, deque[Connection]] = {}
        self._pruned_at = time.monotonic()

    def take(self, keys: list[Key]) -> Connection | None:
        """Return an open connection for one of the keys, None without one."""
        for key in keys:
            waiting = self._waiting.get(key)
            while waiting:
                connection = waiting.pop()
                if time.monotonic() - connection.idle_since < IDLE_SECONDS and connection.is_quiet:
                    return connection
                connection.close()
        return None

    def give(self, connection: Connection) -> None:
        """Keep a connection, or close it when the pool is full."""
        connection.idle_since = now = time.monotonic()
        if now - self._pruned_at > IDLE_SECONDS:
            self._prune(now)
        waiting = self._waiting.setdefault(connection.key, deque())
        if len(waiting) < IDLE_PER_ADDRESS and sum(map(len, self._waiting.values())) < IDLE_TOTAL:
            waiting.append(connection)
        else:
            connection.close()

    def clear(self) -> None:
        """Close all connections."""
        for waiting in self._waiting.values():
            for connection in waiting:
                connection.close()
        self._waiting.clear()

    def _prune(self, now: float) -> None:
        self._pruned_at = now
        for key, waiting in list(self._waiting.items()):
            while waiting and now - waiting[0].idle_since > IDLE_SECONDS:
                waiting.popleft().close()
            if not waiting:
                del self._waiting[key]
