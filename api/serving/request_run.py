"""The run of one request through Flask, in as many steps as it pauses. Each step may run in another thread."""

from collections.abc import Callable, Iterable
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g

from api.http import headers, session
from api.http.wait import Pause, Waits, resume
from api.limits import concurrency
from models.errors import TransientError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ADOPT = "agentforge.adopt"  # in a request's environment: takes the run instead of letting it block a thread

AfterView = Callable[[Response], Response | Waits[Response]]


class App(Flask):
    """Flask whose views may pause: a view may be a generator of pauses that returns the response."""

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self.after_view: AfterView = lambda response: response

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func`; Flask would check in every request whether it is asynchronous, and none of ours is."""
        return func

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Hand the run of this request to the front or, on any other server, run it here and block while it waits."""
        run = RequestRun(self, environ)
        if adopt := environ.get(ADOPT):
            adopt(run)
            return ()
        result = run.step()
        while isinstance(result, RequestRun):
            result = run.step(run.pause.block())
        return result(environ, start_response)

    def do_teardown_request(self, *args: Any) -> None:
        """Tear the request down at its end, not when it pauses."""
        if not g.get("is_paused"):
            super().do_teardown_request(*args)


class RequestRun:
    """One request: hooks run once before its view, and once after the last step of its view."""

    pause: Pause  # the last one, while it pauses

    def __init__(self, app: App, environ: "WSGIEnvironment") -> None:
        self._app = app
        self._contexts = app.app_context(), app.request_context(environ)
        self._steps: Waits[Any] | None = None

    def step(self, answer: Any = None) -> "Response | RequestRun":
        """Run until the request ends, and return its response, or until it pauses, and return this.

        `answer` is the one to the last pause, as `api.http.wait.resume` takes it.
        """
        in_app, in_request = self._contexts
        with in_app, in_request:
            try:
                result = self._first() if self._steps is None else self._next(self._steps, answer)
                if not isinstance(result, Pause):
                    return self._app.finalize_request(result)
                self.pause = result
                _pause()
                return self
            except Exception as error:
                return self._app.handle_exception(error)

    def _first(self) -> Any:
        try:
            result: Any = self._app.preprocess_request()
            if result is None:
                result = self._app.dispatch_request()
            if isinstance(result, GeneratorType):
                result = self._with_what_follows(result)
            else:
                result = self._app.after_view(self._app.make_response(result))
        except Exception as error:
            return self._app.handle_user_exception(error)
        if not isinstance(result, GeneratorType):
            return result
        self._steps = result
        return self._advance(result)

    def _with_what_follows(self, view: Waits[Any]) -> Waits[Response]:
        """The steps of a view, and of what comes after it."""
        result = self._app.after_view(self._app.make_response((yield from view)))
        return result if isinstance(result, Response) else (yield from result)

    def _next(self, steps: Waits[Any], answer: Any) -> Any:
        try:
            _resume()
        except TransientError as error:
            return self._advance(steps, error)
        return self._advance(steps, answer)

    def _advance(self, steps: Waits[Any], answer: Any = None) -> Any:
        try:
            return resume(steps, answer)
        except StopIteration as end:
            return end.value
        except Exception as failure:
            return self._app.handle_user_exception(failure)


def _pause() -> None:
    """Let go of all that others need."""
    g.is_paused = True
    session.close()
    concurrency.release()
    headers.unbind_request_id()


def _resume() -> None:
    g.is_paused = False
    headers.bind_request_id(g.request_id)
    concurrency.acquire()
