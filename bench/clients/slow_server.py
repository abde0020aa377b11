"""The server of benchmarked calls: `python -m bench.clients.slow_server PORT` responds to `GET /50` after 50 ms.

It shares the machine with what is measured, so it is cheap: one thread, one event loop, and no parsing beyond the
request line. `GET /open` returns the number of requests that wait.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Any

from devstack.servers.ports import LOOPBACK

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
BODY = b'{"answer": 42}'


class SlowProtocol(asyncio.Protocol):
    """One connection. Requests have no body, and none is sent before the last one was answered."""

    waiting = 0

    def connection_made(self, transport: Any) -> None:
        """Keep where to answer."""
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer a whole request when its time has come."""
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        path = self._received.split(b" ", 2)[1]
        self._received = b""
        if path == b"/open":
            self._send(str(SlowProtocol.waiting).encode())
            return
        SlowProtocol.waiting += 1
        asyncio.get_running_loop().call_later(int(path[1:]) / 1000, self._answer)

    def _answer(self) -> None:
        SlowProtocol.waiting -= 1
        self._send(BODY)

    def _send(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER % (len(body), body))


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(SlowProtocol, LOOPBACK, port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1])))
