"""The front of the API: an ASGI application that receives, waits and sends on an event loop, and runs Flask in threads.

Thousands of clients may send slowly, wait for changes or receive slowly, each at the cost of a task. A request takes a
thread only while it works, and there are few working slots, which callers share fairly (`api.limits.concurrency`).
"""

from collections.abc import Awaitable, Callable
from typing import Any

import threads
from api.live.change_notifier import ChangeNotifier
from api.serving.beginnings import Beginnings
from api.serving.environ import Scope
from api.serving.exchange import Exchange, Process
from api.serving.reads import Reads
from api.serving.request_run import App

# Beyond the working slots: for requests that wait in their thread for another limit, such as the hashing of passwords.
MAX_THREADS = 128

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Front:
    """The ASGI application around our Flask application."""

    def __init__(self, app: App) -> None:
        self.app = app
        pool = threads.Pool(MAX_THREADS, "request")
        self._process = Process(app, pool, Beginnings(app, pool), Reads(pool))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http":
            await Exchange(self._process, scope, receive, send).run()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        notifier: ChangeNotifier = self.app.extensions["change_notifier"]
        scope["state"]["stop_waiting"] = notifier.close
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        notifier.close()
        await send({"type": "lifespan.shutdown.complete"})
