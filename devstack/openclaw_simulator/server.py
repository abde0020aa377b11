"""The simulator as a whole: a port, a gateway behind it, restarts; in a thread for tests, in front for the stack."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from devstack.openclaw_simulator.gateway import Gateway, Options
from devstack.openclaw_simulator.transport import serve

T = TypeVar("T")


async def keep_serving(gateway: Gateway, host: str, port: int, listening: Callable[[int], None]) -> None:
    """Serve until cancelled; after a crash, refuse connections for a while and come back as a new process."""
    while True:
        connections: set[asyncio.Task[Any] | None] = set()
        server = await asyncio.start_server(partial(_accept, gateway, connections), host, port, limit=2**20)
        port = server.sockets[0].getsockname()[1]
        listening(port)
        try:
            await gateway.restart_now.wait()
            gateway.restart_now.clear()
        finally:
            server.close()
            await gateway.crash()
            tasks = list(filter(None, connections))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.01)  # transports close in the loop's next rounds
        await asyncio.sleep(gateway.options.downtime)
        gateway.boot()


async def _accept(
    gateway: Gateway,
    connections: set[asyncio.Task[Any] | None],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    task = asyncio.current_task()
    connections.add(task)
    try:
        await serve(gateway, reader, writer)
    except asyncio.CancelledError:
        writer.transport.abort()  # the process is killed: no goodbye
    finally:
        connections.discard(task)


class Simulator:
    """A handle on a simulator that runs in a thread of this process; every method may be called from any thread."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gateway: Gateway | None = None
        self._listening = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    @property
    def url(self) -> str:
        """Where the WebSocket is."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        """Where HTTP is: the same port."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """The shared secret."""
        return self.options.token

    @property
    def boot_id(self) -> str:
        """The present process."""
        return self._do(lambda gateway: gateway.boot_id)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every turn that cost a model call: `{runId, sessionKey, prompt, ghost}`."""
        return self._do(lambda gateway: list(gateway.calls))

    @property
    def connections(self) -> int:
        """Open WebSockets that said hello."""
        return self._do(lambda gateway: len(gateway.sockets))

    @property
    def wrong_tokens(self) -> int:
        """How often somebody came with a wrong token."""
        return self._do(lambda gateway: gateway.wrong_tokens)

    def tasks(self, session_key: str) -> list[str]:
        """The states of a session's tasks in the ledger, newest first."""
        return self._do(lambda gateway: [row["status"] for row in gateway.ledger.of_session(session_key)])

    def active(self) -> int:
        """Runs that have not ended."""
        return self._do(lambda gateway: sum(not run.done.is_set() for run in gateway.runs.values()))

    def restart(self) -> None:
        """SIGKILL and a new start on the same port; returns when it listens again."""
        self._listening.clear()
        self._do(lambda gateway: gateway.restart_now.set())
        self._listening.wait(10)

    def drop_sockets(self) -> None:
        """Cut every connection."""
        self._do(lambda gateway: gateway.drop_sockets())

    def drain(self, budget: float = 5.0) -> None:
        """SIGTERM, without the exit: call `restart` for that."""
        self._await(lambda gateway: gateway.drain(budget))

    def stop_draining(self) -> None:
        """Take work again, as after a cancelled restart."""
        self._do(lambda gateway: setattr(gateway, "draining", False))

    def forget_keys(self) -> None:
        """The idempotency keys expire."""
        self._do(lambda gateway: gateway.keys.clear())

    def approve(self, device_id: str) -> None:
        """What `openclaw devices approve` does."""
        self._do(lambda gateway: gateway.paired.setdefault(device_id, f"device-token-of-{device_id[:8]}"))

    def change_token(self, token: str) -> None:
        """Rotate the shared secret; devices keep theirs."""
        self.options.token = token

    def start(self) -> None:
        """Start and wait until it listens."""
        self._thread.start()
        if not self._listening.wait(10):
            raise RuntimeError("the simulator does not start")

    def stop(self) -> None:
        """Stop and wait for the thread."""
        if self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._gateway = Gateway(self.options)
        serving = asyncio.create_task(keep_serving(self._gateway, "127.0.0.1", 0, self._listens))
        await self._stop.wait()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    def _listens(self, port: int) -> None:
        self.port = port
        self._listening.set()

    def _do(self, work: Callable[[Gateway], T]) -> T:
        async def run(gateway: Gateway) -> T:
            return work(gateway)

        return self._await(run)

    def _await(self, work: Callable[[Gateway], Awaitable[T]]) -> T:
        loop, gateway = self._loop, self._gateway
        if loop is None or gateway is None:
            raise RuntimeError("start it first")

        async def run() -> T:
            return await work(gateway)

        return asyncio.run_coroutine_threadsafe(run(), loop).result(30)


@contextmanager
def running_simulator(**options: Any) -> Iterator[Simulator]:
    """A simulator in a thread of this process; the arguments are those of `Options`."""
    simulator = Simulator(Options(**options))
    simulator.start()
    try:
        yield simulator
    finally:
        simulator.stop()
