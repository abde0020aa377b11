"""The complete simulator: a gateway behind a port, with restarts; in a thread for tests, in front for the stack."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.routing import Matcher, Rule
from tornado.web import Application

from simulators.openclaw.gateway import Gateway, Options
from simulators.openclaw.http import CompletionsHandler, HealthHandler, ModelsHandler, NotFoundHandler
from simulators.openclaw.runner import continue_interrupted
from simulators.openclaw.sockets import SocketHandler
from simulators.openclaw.wire import Payload

MAX_MESSAGE = 64 * 2**20  # larger ones are cut off; smaller ones get the gateway's own error
T = TypeVar("T")


class _Upgrade(Matcher):
    """Matches WebSocket requests with any path."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return {} if request.headers.get("Upgrade", "").lower() == "websocket" else None


def _application(gateway: Gateway) -> Application:
    given = {"gateway": gateway}
    return Application(
        [
            Rule(_Upgrade(), SocketHandler, given),
            (r"/(healthz|startupz|readyz)", HealthHandler, given),
            (r"/v1/models", ModelsHandler, given),
            (r"/v1/chat/completions", CompletionsHandler, given),
        ],
        default_handler_class=NotFoundHandler,
        default_handler_args=given,
        log_function=lambda handler: None,
        websocket_max_message_size=MAX_MESSAGE,
    )


async def keep_serving(gateway: Gateway, host: str, port: int, listening: Callable[[int], None]) -> None:
    """Serve until cancelled; after a crash, refuse connections for a while and come back as a new process."""
    while True:
        continue_interrupted(gateway)
        sockets = bind_sockets(port, host)
        port = sockets[0].getsockname()[1]
        server = HTTPServer(_application(gateway), max_body_size=MAX_MESSAGE)
        server.add_sockets(sockets)
        listening(port)
        try:
            await gateway.restart_now.wait()
            gateway.restart_now.clear()
        finally:  # connections before runs, which would report their end otherwise
            server.stop()
            gateway.cut_connections()
            await server.close_all_connections()
            await gateway.kill_runs()
        await asyncio.sleep(gateway.options.downtime)
        gateway.boot()


class Simulator:
    """A handle on a simulator in a thread of this process; methods may be called from any thread."""

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
        """The address of the WebSocket."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        """The HTTP address, on the same port."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """The shared secret."""
        return self.options.token

    @property
    def boot_id(self) -> str:
        """The id of the present process."""
        return self._do(lambda gateway: gateway.boot_id)

    @property
    def calls(self) -> list[Payload]:
        """Every turn that cost a model call: `{runId, sessionKey, prompt, ghost}`."""
        return self._do(lambda gateway: list(gateway.calls))

    @property
    def connections(self) -> int:
        """The number of open WebSockets after their handshake."""
        return self._do(lambda gateway: len(gateway.welcomed()))

    @property
    def wrong_tokens(self) -> int:
        """The number of connections with a wrong token."""
        return self._do(lambda gateway: gateway.wrong_tokens)

    def tasks(self, session_key: str) -> list[str]:
        """The states of a session's tasks in the ledger, newest first."""
        return self._do(lambda gateway: [row["status"] for row in gateway.ledger.of_session(session_key)])

    def active(self) -> int:
        """The number of runs that have not ended."""
        return self._do(lambda gateway: gateway.active())

    def most_active(self) -> int:
        """The largest number of runs that had not ended, since this was last asked."""

        def most(gateway: Gateway) -> int:
            found, gateway.most_active = gateway.most_active, gateway.active()
            return found

        return self._do(most)

    def restart(self) -> None:
        """Kill the gateway and start it again on the same port; returns when it listens."""
        self._listening.clear()
        self._do(lambda gateway: gateway.restart_now.set())
        self._listening.wait(10)

    def cut_connections(self) -> None:
        """Drop every connection."""
        self._do(lambda gateway: gateway.cut_connections())

    def drain(self, budget: float = 5.0) -> None:
        """Shut down as on SIGTERM, without the exit: call `restart` for that."""
        self._await(lambda gateway: gateway.drain(budget))

    def forget_keys(self) -> None:
        """Let the idempotency keys expire."""
        self._do(lambda gateway: gateway.keys.clear())

    def approve(self, device_id: str) -> None:
        """Approve a device, as `openclaw devices approve` does."""
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
