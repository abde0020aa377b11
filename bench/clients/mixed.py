"""A client that reads runs and submits them in a fixed proportion, over many connections in one thread.

`python -m bench.clients.mixed PORT SECONDS RATE CONNECTIONS`, with the requests on standard input: JSON with `reads`
and `submits`, lists of whole HTTP requests. With a rate of 0 each connection sends as soon as it has its response;
otherwise requests are due at that rate in all, and the time of a response counts from when its request was due, however
late it is sent. It prints JSON: the milliseconds of the `reads` and `submits` that were answered, the number of
`failures`, and its own `cpu_seconds`.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import uvloop

from devstack.servers.ports import LOOPBACK

PATTERN = ("reads",) * 3 + ("submits",) + ("reads",) * 3 + ("submits",) + ("reads",) * 4 + ("submits",)  # 10 to 3


@dataclass
class MixedLoad:
    """What is sent, and what came back."""

    port: int
    until: float
    rate: float
    requests: dict[str, list[bytes]]
    begun: float = field(default_factory=time.perf_counter)
    found: dict[str, list[float]] = field(default_factory=lambda: {"reads": [], "submits": []})
    failures: int = 0

    def __post_init__(self) -> None:
        self._kinds = itertools.cycle(PATTERN)
        self._numbers: Iterator[int] = itertools.count()
        self._requests = {kind: itertools.cycle(sent) for kind, sent in self.requests.items()}

    async def connection(self) -> None:
        """Send one request after another."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        while (due := await self._due()) < self.until:
            kind = next(self._kinds)
            writer.write(next(self._requests[kind]))
            if await _is_success(reader):
                self.found[kind].append(1000 * (time.perf_counter() - due))
            else:
                self.failures += 1
        writer.close()

    async def _due(self) -> float:
        """Wait for the next request's turn, and return when it was."""
        if not self.rate:
            return time.perf_counter()
        due = self.begun + next(self._numbers) / self.rate
        if (left := due - time.perf_counter()) > 0 and due < self.until:
            await asyncio.sleep(left)
        return due


async def _is_success(reader: asyncio.StreamReader) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    return head[9:12] in (b"200", b"202")


async def _run(port: int, seconds: float, rate: float, connections: int) -> None:
    sent = {kind: [one.encode() for one in found] for kind, found in json.load(sys.stdin).items()}
    load = MixedLoad(port, time.perf_counter() + seconds, rate, sent)
    await asyncio.gather(*(load.connection() for _ in range(connections)))
    json.dump({**load.found, "failures": load.failures, "cpu_seconds": time.process_time()}, sys.stdout)


if __name__ == "__main__":
    uvloop.run(_run(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
