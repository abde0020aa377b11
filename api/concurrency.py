"""How many requests of a process work at a time. Thousands may be open, because those who wait only hold a thread.

Whoever works holds a place, of which there are fewer than connections to the database; whoever waits gives it back.
When many wake at once, few of them return at a time, so that other requests are answered in between.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, g, request

from models.errors import TransientError

WORKING = threading.BoundedSemaphore(16)
RETURNING = threading.BoundedSemaphore(4)
PATIENCE_SECONDS = 20.0


class Overloaded(TransientError):
    """Nothing was done."""

    code = "overloaded"


def init_app(app: Flask) -> None:
    """Let a request begin when there is a place. Register it behind the reading of bodies: slow clients hold none."""

    @app.before_request
    def enter() -> None:
        if request.endpoint == "health.live":
            return  # whoever asks may end a process that does not answer soon, and it needs nothing
        _take(WORKING)
        g.places = [WORKING]

    @app.teardown_request
    def leave(_: BaseException | None) -> None:
        for place in g.pop("places", ()):
            place.release()


@contextmanager
def away() -> Iterator[None]:
    """Give this request's place back while it waits for something, and return among few."""
    for place in g.pop("places", ()):
        place.release()
    yield
    RETURNING.acquire()
    g.places = [RETURNING]
    _take(WORKING)
    g.places.append(WORKING)


@contextmanager
def returned() -> Iterator[None]:
    """A place for work outside of a request, such as for a stream that goes on."""
    with RETURNING:
        _take(WORKING)
        try:
            yield
        finally:
            WORKING.release()


def _take(places: threading.BoundedSemaphore) -> None:
    if not places.acquire(timeout=PATIENCE_SECONDS):
        raise Overloaded("There is too much to do just now; try again in a moment.")
