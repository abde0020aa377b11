"""urllib3's connections, bound to one checked address and to one call's watch, with bounds on what they read."""

import io
import socket
import ssl
from http.client import HTTPResponse, IncompleteRead
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from workers.gateways.base import CallFailed
from workers.gateways.egress import Url
from workers.gateways.watch import Watch

BODY_LIMIT = 1024 * 1024  # bytes after decoding
HEADER_LIMIT = 64 * 1024  # bytes of status line and headers together
CONNECT_SECONDS = 10.0  # for one address, so that the next one has its turn

Key = tuple[str, str, int, str]


class TooMuch(Exception):
    """The server sends more than we take."""


class _Metered(io.RawIOBase):
    """A socket's bytes, counted: whatever reads them, no more than `allowance` of them reach memory."""

    def __init__(self, raw: Any, allowance: int) -> None:
        self._raw = raw
        self.allowance = allowance
        self.at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        self.at_end = count == 0
        self.allowance -= count or 0
        if self.allowance < 0:
            raise TooMuch
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    """http.client's response, with a limit on everything that it reads, chunk headers and trailers included."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._meter = _Metered(self.fp.detach(), HEADER_LIMIT)
        self.fp = io.BufferedReader(self._meter)

    def begin(self) -> None:
        super().begin()
        if self._meter.at_end:  # http.client takes the end of the connection for the end of the headers
            raise IncompleteRead(b"")
        self._meter.allowance = 2 * BODY_LIMIT + HEADER_LIMIT  # generous to chunking; the decoded size is exact


class Pinned(HTTPConnection):
    """A connection that goes to `address`, whatever its host's name resolves to by now."""

    response_class = _BoundedResponse
    key: Key
    address: str
    watch: Watch | None = None
    idle_since = 0.0

    def bind(self, key: Key, watch: Watch) -> None:
        """Say where to connect to and whose call it is."""
        self.key, self.address, self.watch = key, key[3], watch

    def adopt(self, sock: socket.socket | None) -> None:
        """Let the call's watch stop this socket, and give it the time that the call has left."""
        if self.watch is not None:
            self.watch.hold(sock)
            self.timeout = max(self.watch.deadline.remaining, 0.001)

    def _new_conn(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self.adopt(sock)
            sock.settimeout(min(CONNECT_SECONDS, float(self.timeout or CONNECT_SECONDS)))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect((self.address, self.port))
        except OSError as error:
            sock.close()
            raise NewConnectionError(self, "refused or out of reach") from error
        except CallFailed:
            sock.close()
            raise
        return sock


class PinnedTls(HTTPSConnection, Pinned):
    """The same over TLS, with SNI and certificate checked against the host's name."""

    _twin: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        # Wrapping moves the descriptor into another object; the twin can be shut down all through the handshake.
        self._twin = sock.dup()
        try:
            self.adopt(self._twin)
        except CallFailed:
            sock.close()
            raise
        return sock

    def connect(self) -> None:
        """Connect and shake hands, within the call's time."""
        try:
            super().connect()
        finally:
            if self._twin is not None:
                self.adopt(None)
                self._twin.close()


def keys_of(url: Url, addresses: tuple[str, ...]) -> list[Key]:
    """What makes a connection usable for this URL, one key for each address."""
    return [(url.scheme, url.host, url.port, address) for address in addresses]


def connection_for(key: Key, watch: Watch, tls: ssl.SSLContext) -> Pinned:
    """A new connection, not connected yet."""
    scheme, host, port, _ = key
    connection = PinnedTls(host, port, ssl_context=tls) if scheme == "https" else Pinned(host, port)
    connection.bind(key, watch)
    return connection
