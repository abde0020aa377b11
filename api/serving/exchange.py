"""One request and its response, on the event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from flask import Response

from api.auth.known_callers import KnownCallers
from api.http.parsing import max_body_bytes
from api.http.wait import Pause, Read, Wait, next_messages
from api.limits.body_budget import REFUSED, BodyBudget, HeldBody
from api.limits.concurrency import ANONYMOUS, MACHINES, SLOT, WorkingSlot
from api.serving.beginnings import Beginnings, Stream
from api.serving.environ import Environ, Scope, add_body, build
from api.serving.reads import Reads
from api.serving.request_run import App, RequestRun

LINGER_SECONDS = 2.0  # for which a body that was refused is received, so that its sender sees the response
# Between two turns of the requests in a process whose body is refused: to begin, and to receive a piece of some 300 KB.
LINGER_PAUSE_SECONDS = 0.02
LIVENESS = "/health/live"
OF_MACHINES = ("/health", "/health/ready", "/webhooks/stripe")

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")


class ClientGone(Exception):
    """The client disconnected before its request was complete."""


@dataclass(frozen=True)
class Process:
    """What all requests of a process share."""

    app: App
    threads: Executor
    beginnings: Beginnings
    reads: Reads
    bodies: BodyBudget = field(default_factory=BodyBudget)
    lingering: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take_turn_of_refused(self) -> None:
        """Wait for the next turn of the requests whose body is refused, so that a flood of them costs little."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS), self.lingering:
                await asyncio.sleep(LINGER_PAUSE_SECONDS)

    def slot_of(self, environ: Environ) -> WorkingSlot:
        """A slot in the group of the request, which a liveness probe does not need."""
        if environ["PATH_INFO"].endswith(LIVENESS):
            return WorkingSlot.free_of_charge()
        return WorkingSlot(self.group_of(environ))

    def group_of(self, environ: Environ) -> str:
        """With whom the request shares slots and room: its user, if its credential is known, else by its path."""
        if environ["PATH_INFO"].endswith(OF_MACHINES):
            return MACHINES
        known: KnownCallers = self.app.extensions["known_callers"]
        return known.find(environ) or ANONYMOUS


class Exchange:
    """A request, the steps of its run, and its response."""

    def __init__(self, process: Process, scope: Scope, receive: Receive, send: Send) -> None:
        self._process, self._scope = process, scope
        self._receive, self._send = receive, send
        self._is_refused = False  # its body is too large, or there is no room for it, and it is not received
        self._gone: asyncio.Task[None] | None = None  # ends when the client disconnects

    async def run(self) -> None:
        """Receive the request, run it, wait as often as it pauses, and send its response."""
        environ = build(self._scope)
        held = HeldBody(self._process.bodies, partial(self._process.group_of, environ))
        try:
            add_body(environ, await self._body(held))
            if self._is_refused:
                environ[REFUSED] = held.is_refused
                await self._process.take_turn_of_refused()
            slot = environ[SLOT] = self._process.slot_of(environ)
            result = await self._process.beginnings.begin(environ, slot)
            while isinstance(result, RequestRun):
                result = await self._go_on(result.pause, slot, result.step)
            if isinstance(result, Stream):
                await self._stream(result, environ, slot)
            else:
                await self._respond(result, environ)
        except ClientGone:
            return
        finally:
            held.release()
            if self._gone is not None:
                self._gone.cancel()

    async def _body(self, held: HeldBody) -> bytes:
        headers = dict(self._scope["headers"])
        if b"content-length" not in headers and b"transfer-encoding" not in headers:
            return b""
        limit = max_body_bytes(self._scope["path"])
        self._is_refused = int(headers.get(b"content-length", 0)) > limit
        received = bytearray()
        while not self._is_refused:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            received += message["body"]
            self._is_refused = len(received) > limit or not held.grow(len(received))
            if not message["more_body"]:
                break
        return b"" if held.is_refused else bytes(received)

    async def _go_on(self, pause: Pause, slot: WorkingSlot, step: Callable[[Any], T]) -> T:
        """Pause, and then run the next step with the answer."""
        slot.becomes_returning()
        read = pause if isinstance(pause, Read) else await self._wait(pause)
        if read is None:
            return await slot.work(self._process.threads, lambda: step(None))
        return await self._process.reads.step(read, slot, step)

    async def _wait(self, wait: Wait) -> Read | None:
        """Wait for a change, for the client to disconnect, or for the end of the time; what is to be read then."""
        if wait.at_least:
            await asyncio.sleep(wait.at_least)
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        wait.source.when_woken(partial(loop.call_soon_threadsafe, _resolve, woken))
        timer = loop.call_later(wait.seconds, _resolve, woken)
        is_gone = partial(_resolve, woken)
        if self._gone is None:
            self._gone = loop.create_task(self._until_gone())
        self._gone.add_done_callback(is_gone)
        try:
            await woken
        finally:
            timer.cancel()
            self._gone.remove_done_callback(is_gone)
        if self._gone.done():
            wait.source.close(is_disconnected=True)
        return wait.then if wait.then and wait.source.take_wake() else None

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _respond(self, response: Response, environ: Environ) -> None:
        await self._start(response, environ)
        body = b"".join(response.get_app_iter(environ))
        response.close()
        if self._is_refused:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            await self._linger()
            body = b""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _start(self, response: Response, environ: Environ) -> None:
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in response.get_wsgi_headers(environ)
            if name != "Date"  # the server sets it
        ]
        if self._is_refused:
            headers.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": response.status_code, "headers": headers})

    async def _linger(self) -> None:
        """Receive a refused body, slowly."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                is_over = False
                while not is_over:
                    await self._process.take_turn_of_refused()
                    is_over = not (await self._receive()).get("more_body")

    async def _stream(self, stream: Stream, environ: Environ, slot: WorkingSlot) -> None:
        messages, (body, pause) = stream.response.messages, stream.first
        try:
            if isinstance(pause, Read):  # which comes at once, and is sent together with what comes before it
                more, pause = await self._go_on(pause, slot, partial(next_messages, messages))
                body += more
            await self._start(stream.response, environ)
            while pause is not None:
                if body:
                    await self._send({"type": "http.response.body", "body": body, "more_body": True})
                body, pause = await self._go_on(pause, slot, partial(next_messages, messages))
            await self._send({"type": "http.response.body", "body": body, "more_body": False})
        finally:
            if pause is not None:
                await slot.work(self._process.threads, messages.close)


def _resolve(future: "asyncio.Future[None]", _: object = None) -> None:
    if not future.done():
        future.set_result(None)
