"""Many clients that wait: `python -m bench.clients.watchers PORT`. Half hold a long poll, half an event stream.

Reads pairs of token and execution, one a line, and the event number that all must receive. Prints `began` with the time
when the first connects, and `heard` with the time when the last one has received it; an error response is printed
unchanged.
"""

import asyncio
import re
import sys
import time

from devstack.servers.ports import LOOPBACK

SEQ = re.compile(rb'"seq":(\d+)')
AT_A_TIME = 100


class Watchers:
    """All clients of this process."""

    def __init__(self, port: int, target: int) -> None:
        self._port, self._target = port, target
        self._opening = asyncio.Semaphore(AT_A_TIME)
        self._received = 0

    async def run(self, clients: list[list[str]]) -> None:
        """Wait for ever."""
        self._number = len(clients)
        say(f"began {time.monotonic()}")
        await asyncio.gather(*(self._watch(index, *client) for index, client in enumerate(clients)))

    async def _watch(self, index: int, token: str, execution: str) -> None:
        async with self._opening:
            reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
            path = f"/api/executions/{execution}"
            path += "/events" if index % 2 else "?wait=30&since=1"
            await self._ask(writer, path, token)
            await asyncio.sleep(0.01)
        await (self._stream(reader) if index % 2 else self._poll(reader, writer, path, token))

    async def _ask(self, writer: asyncio.StreamWriter, path: str, token: str) -> None:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        await writer.drain()

    async def _poll(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, token: str) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head[:20]:
                say(f"refused {head[:60]!r}")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            if self._receive(await reader.readexactly(int(length[1]) if length else 0)):
                return
            await self._ask(writer, path, token)

    async def _stream(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head[:20]:
            say(f"refused {head[:60]!r}")
        while line := await reader.readline():
            if line.startswith(b"data:") and self._receive(line):
                await asyncio.sleep(3600)
        say("a stream ended")

    def _receive(self, body: bytes) -> bool:
        if max((int(seq) for seq in SEQ.findall(body)), default=0) < self._target:
            return False
        self._received += 1
        if self._received == self._number:
            say(f"heard {time.monotonic()}")
        return True


def say(what: str) -> None:
    """Print a line for the parent process."""
    print(what, flush=True)


if __name__ == "__main__":
    seq, *lines = sys.stdin.read().splitlines()
    asyncio.run(Watchers(int(sys.argv[1]), int(seq)).run([line.split() for line in lines]))
