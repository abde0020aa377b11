"""uvicorn's server in several processes that accept from the same sockets, each its share of the connections.

Whichever process is awake accepts first, so by itself one of them ends up with nearly all connections (ADR 56). Here a
process that has more of them than another one lets that one go first, for as long as it takes to wake up.
"""

import asyncio
import mmap
import socket
from collections.abc import Sequence
from typing import Any

import structlog
from uvicorn import Config, Server

log = structlog.get_logger(__name__)

MAX_PROCESSES = 256
NOBODY = -1  # in place of a count
WAKING_SECONDS = 0.002  # for which others go first
AT_ONCE = 4  # connections that are accepted after that, because the others are busy, or hang
PAUSE_SECONDS = 0.5  # after an error, such as too many open files


class ConnectionCounts:
    """The number of connections of each process, in memory that they share once they are forked."""

    def __init__(self) -> None:
        self._counts = memoryview(mmap.mmap(-1, 4 * MAX_PROCESSES)).cast("i")
        for place in range(MAX_PROCESSES):
            self._counts[place] = NOBODY

    def take_place(self) -> "Place":
        """A place for a new process; called in the process that forks the others."""
        place = next(place for place in range(MAX_PROCESSES) if self._counts[place] == NOBODY)
        self._counts[place] = 0
        return Place(self._counts, place)


class Place:
    """The place of one process in the counts."""

    def __init__(self, counts: "memoryview[int]", place: int) -> None:
        self._counts, self._place = counts, place

    def set(self, connections: int) -> None:
        """Tell the other processes the number of connections of this one."""
        self._counts[self._place] = connections

    def leave(self) -> None:
        """Make room, because the process has ended."""
        self._counts[self._place] = NOBODY

    def has_more_than_another(self) -> bool:
        """Whether another process has fewer connections than this one."""
        own = self._counts[self._place]
        return any(NOBODY < count < own for count in self._counts)


class SharingServer(Server):
    """The server of one process."""

    def __init__(self, config: Config, place: Place) -> None:
        super().__init__(config)
        self._place = place
        self._accepting: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, and accept connections."""
        await super().startup(sockets=[])
        self._accepting = [asyncio.create_task(self._accept(listener)) for listener in sockets or ()]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, and end when those that are open have their responses."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Ten times in a second: tell the other processes how many connections are left."""
        self._place.set(len(self.server_state.connections))
        return await super().on_tick(counter)

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            await _readable(listener)
            self._place.set(len(self.server_state.connections))
            number = 1
            if self._place.has_more_than_another():
                await asyncio.sleep(WAKING_SECONDS)
                number = AT_ONCE
            try:
                for accepted in _accepted(listener, number):
                    await self._serve_connection(accepted)
            except OSError as error:
                log.warning("connections.not_accepted", error=type(error).__name__, errno=error.errno)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _serve_connection(self, accepted: socket.socket) -> None:
        def protocol() -> asyncio.Protocol:
            kind: Any = self.config.http_protocol_class
            made: asyncio.Protocol = kind(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        await asyncio.get_running_loop().connect_accepted_socket(protocol, accepted, ssl=self.config.ssl)


async def _readable(listener: socket.socket) -> None:
    """Wait until there is a connection to accept."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(listener.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(listener.fileno())


def _accepted(listener: socket.socket, most: int) -> Sequence[socket.socket]:
    """Up to so many connections that wait; none if another process was faster. Raises `OSError`."""
    accepted = []
    try:
        for _ in range(most):
            connection, _ = listener.accept()
            connection.setblocking(False)
            accepted.append(connection)
    except (BlockingIOError, ConnectionAbortedError):
        pass
    except OSError:
        if not accepted:
            raise
    return accepted
