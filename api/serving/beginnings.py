"""The beginning of a request: its first step, until it pauses or ends, together with others if it is a short read."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple

from flask import Response

from api.http.wait import Pause, StreamedResponse, next_messages
from api.limits.concurrency import READING, Overloaded, WorkingSlot
from api.serving.batches import Batches
from api.serving.environ import Environ
from api.serving.foresight import ForeseenRequest, foresee, read_together
from api.serving.request_run import ADOPT, App, RequestRun


class Stream(NamedTuple):
    """A response whose messages come over time, with the first of them and the pause after these."""

    response: StreamedResponse
    first: tuple[bytes, Pause | None]


Result = Response | RequestRun | Stream
Short = tuple[ForeseenRequest, WorkingSlot]


class Beginnings:
    """The requests that begin in a process."""

    def __init__(self, app: App, threads: Executor) -> None:
        self._app, self._threads = app, threads
        self._together: Batches[Short, Result | None] = Batches(
            threads,
            self._prepare,
            READING,
            at_a_time=1,  # with two, each is half as large and costs a quarter more
        )

    async def begin(self, environ: Environ, slot: WorkingSlot) -> Result:
        """Run a request until it pauses or ends, in its slot or in that of a batch."""
        expected = foresee(self._app, environ, slot.caller)
        if expected is not None:
            try:
                if (result := await self._together.add((expected, slot), slot.caller)) is not None:
                    return result
            except Overloaded:
                slot.is_refused = True  # which the request finds out
        return await slot.work(self._threads, partial(self._begin, environ))

    def _prepare(self, requests: Sequence[Short], is_refused: bool) -> list[Callable[[], Result | None]]:
        """A result is None if its request has to run by itself."""
        if is_refused:
            return [_nothing] * len(requests)
        together = read_together([expected for expected, _ in requests])
        return [
            partial(self._begin_in, slot, expected.environ) if is_short else _nothing
            for (expected, slot), is_short in zip(requests, together, strict=True)
        ]

    def _begin_in(self, slot: WorkingSlot, environ: Environ) -> Result:
        with slot.shared():
            return self._begin(environ)

    def _begin(self, environ: Environ) -> Result:
        """Begin in this thread; the console responds to some requests without our application."""
        runs: list[RequestRun] = []
        environ[ADOPT] = runs.append
        started: list[Any] = []

        def start_response(*args: Any) -> Callable[[bytes], object]:
            started.append(args)
            return _nothing

        body = self._app.wsgi_app(environ, start_response)
        if not runs:
            return Response(b"".join(body), *started[0])
        result = runs[0].step()
        if isinstance(result, StreamedResponse) and environ["REQUEST_METHOD"] != "HEAD":
            return Stream(result, next_messages(result.messages))
        return result


def _nothing(*_: object) -> None:
    """No result; and none of our applications writes through what `start_response` returns."""
