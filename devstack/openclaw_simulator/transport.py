"""Bytes: one port that speaks HTTP and, after an upgrade, WebSocket."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from devstack.openclaw_simulator import http
from devstack.openclaw_simulator.sockets import Socket

if TYPE_CHECKING:
    from devstack.openclaw_simulator.gateway import Gateway

MAX_MESSAGE = 64 * 2**20


async def serve(gateway: "Gateway", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, to its end."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"upgrade: websocket" in head.lower():
                await WebSocket(gateway, reader, writer).run(head)
                break
            if not await http.handle(gateway, head, reader, writer):
                break
    writer.close()


class WebSocket:
    """The server's side of a WebSocket without any library's loop."""

    def __init__(self, gateway: "Gateway", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._protocol = ServerProtocol(max_size=MAX_MESSAGE)
        self._socket = Socket(gateway, self)
        self._parts: list[bytes] = []

    async def run(self, head: bytes) -> None:
        self._protocol.receive_data(head)
        try:
            self._take()
            while self._protocol.state is State.OPEN and (data := await self._reader.read(65536)):
                self._protocol.receive_data(data)
                self._take()
                await self._writer.drain()
        finally:
            self._socket.lost()

    def _take(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
                self._flush()
                self._socket.opened()
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    message, self._parts = b"".join(self._parts), []
                    self._socket.received(message)
        self._flush()

    def send(self, data: bytes) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(data)
            self._flush()

    def close(self, code: int, reason: str) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason[:100])
            self._flush()

    def abort(self) -> None:
        self._writer.transport.abort()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data and not self._writer.is_closing():
                self._writer.write(data)
