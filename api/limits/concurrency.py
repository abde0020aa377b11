"""Concurrency limit of a process: few requests work at a time; thousands may wait, each holding only a thread.

A working request holds a slot; there are fewer slots than database connections. A waiting request releases its slot.
If many wake at once, few of them re-acquire slots at a time, so that other requests are served in between.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, g, request

from models.errors import TransientError

WORKING_SLOTS = threading.BoundedSemaphore(16)
RETURNING_SLOTS = threading.BoundedSemaphore(4)
ACQUIRE_TIMEOUT_SECONDS = 20.0


class Overloaded(TransientError):
    """The server is busy, and the request was not begun; try again."""

    code = "overloaded"


def init_app(app: Flask) -> None:
    """Acquire a slot before every request. Register it after the reading of bodies, so that slow clients hold none."""

    @app.before_request
    def acquire() -> None:
        if request.endpoint == "health.live":
            return  # a liveness probe ends a process that does not respond in time, and it uses no resources
        _acquire(WORKING_SLOTS)
        g.slots = [WORKING_SLOTS]

    @app.teardown_request
    def release(_: BaseException | None) -> None:
        for slot in g.pop("slots", ()):
            slot.release()


@contextmanager
def slot_released() -> Iterator[None]:
    """Release this request's slot during a wait, and re-acquire one afterwards; raises `Overloaded`."""
    for slot in g.pop("slots", ()):
        slot.release()
    yield
    RETURNING_SLOTS.acquire()
    g.slots = [RETURNING_SLOTS]
    _acquire(WORKING_SLOTS)
    g.slots.append(WORKING_SLOTS)


@contextmanager
def slot_acquired() -> Iterator[None]:
    """Hold a slot for work outside of a request, such as of an event stream; raises `Overloaded`."""
    with RETURNING_SLOTS:
        _acquire(WORKING_SLOTS)
        try:
            yield
        finally:
            WORKING_SLOTS.release()


def _acquire(slots: threading.BoundedSemaphore) -> None:
    if not slots.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS):
        raise Overloaded("The server is busy; try again in a moment.")
