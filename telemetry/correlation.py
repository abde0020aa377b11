"""Ids that join log lines across processes: from the request at the door to the last line that a worker logs for it.

The API binds the id of each request (`X-Request-ID`) to the context of its thread. Rows that a request creates for a
worker keep it; the worker binds it again, and so do the threads to which it hands parts of the work.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog


def request_id() -> str | None:
    """The id of the request that this thread works for; None for work that no request caused."""
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found


@contextmanager
def bound(**ids: object) -> Iterator[None]:
    """Put these ids, and none of an outer block by the same names, into the events that are logged in this block."""
    absent = ...  # structlog's word for a name that is not bound
    with structlog.contextvars.bound_contextvars(**{name: str(id) if id else absent for name, id in ids.items()}):
        yield
