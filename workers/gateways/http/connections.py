"""A connection to one checked address: send a request and read the reply, with limits on the bytes it may have.

asyncio transports the bytes; llhttp (in httptools) parses them.
"""

import asyncio
import select
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import httptools

from workers.gateways.http.decoding import Decoder, NotDecodable
from workers.gateways.http.egress import Url

BODY_LIMIT = 1024 * 1024  # bytes after decoding
HEADER_LIMIT = 64 * 1024  # bytes of status lines and headers together
EXCERPT_LIMIT = 64 * 1024  # bytes that are read of the body of an error or a redirect
CONNECT_SECONDS = 10.0  # for one address, so that there is time for the next one

Key = tuple[str, str, int, str]  # scheme, host, port and address


class TooMuch(Exception):
    """The server sent more bytes than the limit."""


class Disconnected(Exception):
    """The connection ended before the reply was complete; `is_silent` when no byte of it had arrived."""

    def __init__(self, *, is_silent: bool) -> None:
        super().__init__()
        self.is_silent = is_silent


class Unreadable(Exception):
    """The reply is not HTTP, or cannot be decoded."""


@dataclass(frozen=True)
class Reply:
    """A response, decoded from gzip or deflate; header names are lower case, repeated ones joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class _Answer:
    """Parses one reply as its bytes arrive; `done` resolves to the reply or to the error."""

    def __init__(self, method: str) -> None:
        self.done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.reusable = False  # whether the connection may be used for another request
        self._parser = httptools.HttpResponseParser(self)
        self._method = method
        self._received = 0
        self._header_bytes = 0
        self._headers: dict[str, str] = {}
        self._decoder: Decoder | None = None  # set at the end of the headers
        self._body = bytearray()
        self._ends_with_connection = False

    def feed(self, data: bytes) -> None:
        """Parse the next bytes."""
        self.reusable = self.reusable and not self.done.done()  # bytes after the reply
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.reusable = False
            self._fail(Unreadable())
        # Interim responses, chunk sizes and trailers count, too.
        if self._received > (2 * BODY_LIMIT + HEADER_LIMIT if self._decoder else HEADER_LIMIT):
            self._fail(TooMuch())

    def end(self) -> None:
        """Handle the end of the connection."""
        if self._decoder and (self._ends_with_connection or not self._matters):
            self._finish()
        else:
            self._fail(Disconnected(is_silent=not self._received))

    # Callbacks of the parser. They raise nothing, because it would wrap that.

    def on_message_begin(self) -> None:
        """A response begins; a second final one was not requested."""
        self.reusable = self.reusable and not self.done.done()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header; trailers are ignored."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_LIMIT:
            self._fail(TooMuch())
        elif self._decoder is None:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
            self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Find out how the body is framed and encoded."""
        if self._status < 200:  # an interim response
            self._headers.clear()
            return
        try:
            self._decoder = Decoder(self._headers.get("content-encoding", "").lower())
        except NotDecodable:
            self._fail(Unreadable())
            return
        length = self._headers.get("content-length", "")
        if self._method == "HEAD" or self._status in (204, 304):
            self._finish(reusable=self._parser.should_keep_alive())
        elif self._matters and length.isdecimal() and int(length) > BODY_LIMIT:
            self._fail(TooMuch())
        self._ends_with_connection = not length and "transfer-encoding" not in self._headers

    def on_body(self, data: bytes) -> None:
        """Decode a piece of the body."""
        if self.done.done() or self._decoder is None:
            return
        limit = BODY_LIMIT if self._matters else EXCERPT_LIMIT
        try:
            self._body += self._decoder.decode(data, limit - len(self._body))
        except NotDecodable:
            if self._matters:
                self._fail(Unreadable())
            else:
                self._finish()
        if len(self._body) > limit and self._matters:
            self._fail(TooMuch())
        elif len(self._body) > limit:
            del self._body[limit:]
            self._finish()

    def on_message_complete(self) -> None:
        """The end of a response, interim or final."""
        if self._decoder:
            self._finish(reusable=self._parser.should_keep_alive())

    @property
    def _status(self) -> int:
        return int(self._parser.get_status_code())

    @property
    def _matters(self) -> bool:
        """Whether the whole body is needed; of an error or a redirect the beginning is enough."""
        return 200 <= self._status < 300

    def _finish(self, *, reusable: bool = False) -> None:
        if not self.done.done():
            self.reusable = reusable
            self.done.set_result(Reply(self._status, self._headers, bytes(self._body)))

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Connection(asyncio.Protocol):
    """A connection for one request at a time, kept alive in between."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.idle_since = 0.0
        self._answer: _Answer | None = None
        self._transport: asyncio.Transport

    @classmethod
    async def to(cls, key: Key, tls: ssl.SSLContext) -> "Connection":
        """Connect to the key's address; SNI and certificate are checked against the host's name. Raises `OSError`."""
        scheme, host, port, address = key
        made = cls(key)
        connect = partial(asyncio.get_running_loop().create_connection, lambda: made, address, port)
        async with asyncio.timeout(CONNECT_SECONDS):
            await (connect(ssl=tls, server_hostname=host) if scheme == "https" else connect())
        return made

    async def exchange(self, method: str, request: bytes) -> tuple[Reply, bool]:
        """Send a request; return the reply and whether the connection may be used again.

        Raises:
            TooMuch, Disconnected, Unreadable: there is no usable reply.
        """
        answer = self._answer = _Answer(method)
        self._transport.write(request)
        try:
            reply = await answer.done
        finally:
            self._answer = None
        return reply, answer.reusable and not self._transport.is_closing()

    @property
    def is_quiet(self) -> bool:
        """Whether the idle connection is still open and no unexpected bytes have arrived on it."""
        if self._transport.is_closing():
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it at once, also during a request."""
        self._transport.abort()

    # Callbacks of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the reply; unexpected ones close the connection."""
        if self._answer:
            self._answer.feed(data)
        else:
            self.close()

    def eof_received(self) -> None:
        """Handle the end of what the server sends; the transport closes itself."""
        if self._answer:
            self._answer.end()

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the loss of the connection."""
        if self._answer:
            self._answer.end()


def keys_of(url: Url, addresses: tuple[str, ...]) -> list[Key]:
    """The keys under which connections for this URL are pooled, one for each address."""
    return [(url.scheme, url.host, url.port, address) for address in addresses]
