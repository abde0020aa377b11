"""Queue for CPU-bound requests, such as validating a graph of a megabyte: one at a time, shared fairly among users.

All requests of a process share one interpreter, so each process works on one heavy request at a time. A user who sends
more than a few at once gets an error to retry. A queued request holds no concurrency slot and no database connection.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request

from api.http.session import close
from api.limits.concurrency import slot_released
from models.fair_slots import FairSemaphore

P = ParamSpec("P")
R = TypeVar("R")

HEAVY_BYTES = 4 * 1024  # of a body; a smaller one takes a few milliseconds
MAX_QUEUED_PER_USER = 4  # in each process
QUEUE_TIMEOUT_SECONDS = 15.0

_slots = FairSemaphore(1, per_group=1, waiting=MAX_QUEUED_PER_USER)


def heavy(view: Callable[P, R]) -> Callable[P, R]:
    """Decorate a view so that requests with large bodies queue; raises `QueueFull`. Put it right below `signed_in`."""
    in_line = queued(view)

    @wraps(view)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        is_small = len(request.get_data(cache=True)) < HEAVY_BYTES
        return view(*args, **kwargs) if is_small else in_line(*args, **kwargs)

    return limited


def queued(view: Callable[P, R]) -> Callable[P, R]:
    """Decorate a view so that all of its requests queue, because even small ones compute; otherwise like `heavy`."""

    @wraps(view)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        close()
        with ExitStack() as slot:
            with slot_released():
                slot.enter_context(_slots.acquired(str(g.user.id), timeout=QUEUE_TIMEOUT_SECONDS))
            return view(*args, **kwargs)

    return limited
