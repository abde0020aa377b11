"""A TCP proxy between a client and a server on loopback that injects faults, for fault tests and benchmarks.

    with running_fault_proxy(redis_port) as proxy:
        ...                       # clients connect to proxy.port
        proxy.freeze()            # connections stay open, but nothing passes any more

Its methods may be called from any thread; each returns once it has taken effect.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from devstack.servers.ports import LOOPBACK, free_port

T = TypeVar("T")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CHUNK = 65_536


@dataclass(eq=False)
class _Pair:
    """A client's connection and the proxy's connection to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    open: asyncio.Event = field(default_factory=asyncio.Event)  # whether bytes pass
    answered: int = 0  # bytes that came back so far

    def reset(self) -> None:
        """End both with RST, as a crashed peer or a firewall does."""
        self.open.set()
        for writer in (self.client, self.server):
            _reset(writer)


class FaultProxy:
    """Use `running_fault_proxy`; `connections` counts all connections accepted so far."""

    def __init__(self, upstream: int, port: int = 0) -> None:
        self.port = free_port(port)
        self.connections = 0
        self._upstream = upstream
        self._pairs: set[_Pair] = set()
        self._silenced: set[_Pair] = set()  # kept, or the garbage collector would remove their waiting tasks
        self._refusing = self._frozen = self._swallowing = False
        self._latency = 0.0
        self._limit: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    # Faults ----------------------------------------------------------------------------------

    def heal(self) -> None:
        """End all faults; data held by `freeze` goes on, connections silenced by `freeze_present` stay silent."""

        def healed() -> None:
            self._refusing = self._frozen = self._swallowing = False
            self._latency, self._limit = 0.0, None
            for pair in self._pairs:
                pair.open.set()

        self._do(healed)

    def freeze(self) -> None:
        """Let nothing pass in old and new connections without closing any: a peer that hangs."""

        def frozen() -> None:
            self._frozen = True
            for pair in self._pairs:
                pair.open.clear()

        self._do(frozen)

    def freeze_present(self) -> int:
        """Silence the present connections for ever while new ones work: half-open. Return their number."""

        def frozen() -> int:
            for pair in self._pairs:
                pair.open.clear()
            number = len(self._pairs)
            self._silenced |= self._pairs
            self._pairs.clear()  # healing does not reach them
            return number

        return self._do(frozen)

    def refuse(self) -> None:
        """Reset every connection, present and new: a server that is down."""
        self._do(lambda: setattr(self, "_refusing", True))
        self.reset()

    def reset(self) -> int:
        """Reset the present connections once; return their number."""

        def cut() -> int:
            pairs, self._pairs = self._pairs, set()
            for pair in pairs:
                pair.reset()
            return len(pairs)

        return self._do(cut)

    def delay(self, seconds: float) -> None:
        """Delay each chunk by so many seconds, in both directions."""
        self._do(lambda: setattr(self, "_latency", seconds))

    def cut_answers_after(self, size: int) -> None:
        """Reset each connection after so many bytes of responses, in the middle of one."""
        self._do(lambda: setattr(self, "_limit", size))

    def swallow_answers(self) -> None:
        """Pass requests on, and reset the connection when the response comes: the outcome stays unknown."""
        self._do(lambda: setattr(self, "_swallowing", True))

    # Life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start listening."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Reset open connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, action: Callable[[], T]) -> T:
        async def act() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def _end(self) -> None:
        self._server.close()
        await asyncio.sleep(0.01)  # a connection accepted just now gets its task, which is then cancelled too
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # aborted sockets are closed in the loop's next iteration

    # Traffic ---------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refusing:
            return _reset(writer)
        try:
            from_server, to_server = await asyncio.open_connection(LOOPBACK, self._upstream)
        except (OSError, asyncio.CancelledError):
            return _reset(writer)
        pair = _Pair(writer, to_server)
        if not self._frozen:
            pair.open.set()
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, to_server, pair), self._pump(from_server, writer, pair, back=True))
        except asyncio.CancelledError:
            pair.reset()
        finally:
            self._pairs.discard(pair)
            self._silenced.discard(pair)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, pair: _Pair, *, back: bool = False
    ) -> None:
        try:
            while data := await source.read(_CHUNK):
                await pair.open.wait()
                if self._latency:
                    await asyncio.sleep(self._latency)
                if back and self._is_cut_off(data, pair, target):
                    return pair.reset()
                target.write(data)
                await target.drain()
            await pair.open.wait()
        except OSError:
            pass
        finally:
            with suppress(OSError, RuntimeError):
                target.close()

    def _is_cut_off(self, data: bytes, pair: _Pair, target: asyncio.StreamWriter) -> bool:
        """Whether a fault ends the connection at this part of a response; a first piece of it may still pass."""
        if self._limit is not None:
            pair.answered += len(data)
            if (over := pair.answered - self._limit) > 0:
                target.write(data[: max(0, len(data) - over)])
                return True
        return self._swallowing


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        writer.transport.abort()


@contextmanager
def running_fault_proxy(upstream: int, port: int = 0) -> Iterator[FaultProxy]:
    """Run a proxy to the loopback port `upstream`, at first without faults, for the length of the block."""
    proxy = FaultProxy(upstream, port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
