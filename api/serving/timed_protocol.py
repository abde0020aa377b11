"""The HTTP protocol of our server: uvicorn's, with time limits for a whole request and a whole response.

A client that sends or receives too slowly is cut off. A limit grows with the bytes transferred, so that large bodies
may take their time on a bad line, and one byte a second ends soon.
"""

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

TIMEOUT_SECONDS = 10.0  # for a request to arrive completely, or for a response to be accepted by the client
MIN_BYTES_PER_SECOND = 4096
MAX_HEAD_BYTES = 32 * 1024  # of a request line and its headers together
# For bytes to be acknowledged by the other host, or for its window to open; the kernel then resets the connection.
TCP_USER_TIMEOUT_MS = 20_000
# For which a process that ends keeps idle connections: their clients may be sending already, and get one more response.
FAREWELL_SECONDS = 3.0
PIECE_BYTES = 16 * 1024  # parsed at a time: nobody is made to keep thousands of requests sent at once


class TimedProtocol(HttpToolsProtocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None  # while a request or the first byte of one is expected
    _write_timer: asyncio.TimerHandle | None = None  # while the client does not accept what is sent
    _begun_at = 0.0  # when the request that arrives began, or the connection
    _received = 0  # bytes of that request, and of those that came in the same piece
    _in_head = True
    _is_ending = False  # the process shuts down
    _handled: RequestResponseCycle | None = None
    _unparsed = b""  # what came while earlier requests of this connection wait for their turn

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request."""
        super().connection_made(transport)
        if (client := transport.get_extra_info("socket")) and hasattr(socket, "TCP_USER_TIMEOUT"):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time limits, and tell the request that is handled; uvicorn tells the one that came last."""
        if self._handled is not None and not self._handled.response_complete:
            self._handled.disconnected = True
            self._handled.message_event.set()
        super().connection_lost(exc)
        self._forget()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as it is the turn of its requests."""
        self._unparsed = self._unparsed + data if self._unparsed else data
        self._parse()

    def on_response_complete(self) -> None:
        """Go on with the requests that came meanwhile."""
        super().on_response_complete()
        self._parse()

    def on_message_begin(self) -> None:
        """Begin to count the time of a request."""
        super().on_message_begin()
        self._in_head = True
        self._expect()

    def on_headers_complete(self) -> None:
        """Begin to handle the request."""
        self._in_head = False
        super().on_headers_complete()
        if self._is_ending:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Stop counting: the request is complete."""
        super().on_message_complete()
        self._forget()
        self._received = 0

    def pause_writing(self) -> None:
        """Begin to count the time in which the client does not accept what was sent."""
        super().pause_writing()
        seconds = TIMEOUT_SECONDS + self.transport.get_write_buffer_size() / MIN_BYTES_PER_SECOND
        self._write_timer = self.loop.call_later(seconds, self._cut)

    def resume_writing(self) -> None:
        """Stop counting: the client has accepted most of it."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def shutdown(self) -> None:
        """Let the clients that wait have their responses now, and close the connection after its last response."""
        self.app_state.get("stop_waiting", _do_nothing)()
        self._is_ending = True
        if self._is_idle:
            self.loop.call_later(FAREWELL_SECONDS, self._close_idle)
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._handled = cycle
        super()._start_asgi_task(cycle, app)

    def _parse(self) -> None:
        data, begin = self._unparsed, 0
        while begin < len(data) and not self.pipeline and not self.transport.is_closing():
            piece = data[begin : begin + PIECE_BYTES]
            begin += PIECE_BYTES
            super().data_received(piece)
            self._received += len(piece)
            if self._in_head and self._received > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The headers are too large.")
        self._unparsed = data[begin:]
        if self._unparsed:
            self.flow.pause_reading()

    def _expect(self) -> None:
        self._forget()
        self._begun_at, self._received = self.loop.time(), 0
        self._timer = self.loop.call_later(TIMEOUT_SECONDS, self._check)

    def _check(self) -> None:
        """Cut the client off, unless it has sent enough meanwhile or we do not read what it sends."""
        until = self._begun_at + TIMEOUT_SECONDS + self._received / MIN_BYTES_PER_SECOND
        left = TIMEOUT_SECONDS if self.flow.read_paused else until - self.loop.time()
        if left > 0.01:
            self._timer = self.loop.call_later(left, self._check)
        else:
            self._cut()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_idle(self) -> None:
        if self._is_idle:
            self.transport.close()

    def _cut(self) -> None:
        self.transport.abort()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _do_nothing(*_: Any) -> None:
    """The application does not wait for anything."""
