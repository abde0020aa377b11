"""One run of an agent in the gateway's memory."""

import asyncio
import contextlib
import uuid
from dataclasses import dataclass, field

from simulators.openclaw.directives import Directives
from simulators.openclaw.wire import Payload

CONTINUATION = "[System] Your previous turn was interrupted by a restart. Continue where you left off."


@dataclass
class Run:
    """A run in the gateway's memory. `response` is the last response: (ok, payload or error)."""

    id: str
    session_key: str
    message: str
    system: str
    timeout: float
    directives: Directives
    ledgered: bool = True
    orphan: bool = False
    task: asyncio.Task[None] | None = None
    started_at: int | None = None
    ended_at: int | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    response: tuple[bool, Payload] | None = None
    waited: Payload | None = None
    replayable_at: float = 0.0
    abort_asked: bool = False
    text: str = ""
    http_error: tuple[int, str, str] | None = None
    owners: tuple[str, ...] = ()  # the connection and the device that may abort it; empty for an orphan

    async def stop(self) -> None:
        """Abort the run and wait until it has reported its end."""
        self.abort_asked = True
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self.done.wait()


def orphan_of(row: Payload, timeout: float) -> Run:
    """The continuation that the gateway starts by itself after a crash."""
    directives = Directives({}, CONTINUATION)
    return Run(str(uuid.uuid4()), row["sessionKey"], CONTINUATION, "", timeout, directives, orphan=True)
