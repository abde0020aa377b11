"""Waiting for a worker: a call that needs Stripe is accepted, committed, and then waits a little for its row's end.

Nothing is held meanwhile but the thread: no transaction, no connection. Whoever comes when too many wait already,
does not want to wait, or is gone, gets the 202 that was committed; so does everybody when the database goes away or
when there is too much to do.
"""

import re
import socket
import threading
import time
from uuid import UUID

import structlog
from flask import Flask, Response, g, make_response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api import errors
from api.concurrency import Overloaded, away
from api.outcomes import outcome
from models.db import session_scope
from models.errors import ForgeError
from models.services import stripe_requests

log = structlog.get_logger(__name__)

WAITERS = threading.BoundedSemaphore(16)  # of this process: the other threads answer requests
DEFAULT_SECONDS, MOST_SECONDS = 10, 30
LOOK_SECONDS = 0.05
RETRY_SECONDS = "1"

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?:[,;]|$)", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async\s*(?:[,;]|$)", re.IGNORECASE)


def init_app(app: Flask) -> None:
    """Wait after the commit. Register it before the session's hook: those behind run in the opposite order."""
    app.after_request(_linger)


def later(request_id: UUID, address: str, body: dict[str, object], wait: int = DEFAULT_SECONDS) -> ResponseReturnValue:
    """202 and where to look; once it is committed, the row's end takes its place if it comes within `wait` seconds.

    `wait` is what is done for callers who do not say how long they want to wait.
    """
    expect(request_id, wait)
    return body, 202, {"Location": address, "Retry-After": RETRY_SECONDS}


def expect(request_id: UUID, wait: int = DEFAULT_SECONDS) -> None:
    """Let the answer of this request wait for that row."""
    g.awaited = request_id
    g.patience = wait


def awaited() -> UUID | None:
    """The row that this request's answer will wait for."""
    request_id: UUID | None = g.get("awaited")
    return request_id


def patience(header: str | None, default: int) -> int:
    """Seconds to wait at most, as `Prefer: wait=N` asks (RFC 7240); what cannot be read is no preference."""
    if header is None:
        return default
    if found := _WAIT.search(header):
        return min(int(found[1]), MOST_SECONDS)
    return 0 if _ASYNC.search(header) else default


def _linger(response: Response) -> Response:
    request_id = awaited()
    if request_id is None or response.status_code != 202:
        return response
    try:
        end = _end_of(request_id, patience(", ".join(request.headers.getlist("Prefer")) or None, g.patience))
    except (OperationalError, InterfaceError, PoolTimeout, Overloaded) as error:
        log.warning("wait_ended", request_id=str(request_id), error=type(error).__name__)
        return response
    if end is not None and "Idempotent-Replayed" in response.headers:
        end.headers["Idempotent-Replayed"] = response.headers["Idempotent-Replayed"]
    return end or response


def _end_of(request_id: UUID, seconds: int) -> Response | None:
    """The row's final answer, or None when it does not come in time."""
    has_place = WAITERS.acquire(blocking=False)
    until = time.monotonic() + (seconds if has_place else 0)
    try:
        while (end := _look(request_id)) is None and time.monotonic() < until and not _is_gone():
            with away():
                time.sleep(LOOK_SECONDS)
        return end
    finally:
        if has_place:
            WAITERS.release()


def _look(request_id: UUID) -> Response | None:
    with session_scope() as session:
        try:
            answer = outcome(stripe_requests.get(session, g.user, request_id))
        except ForgeError as error:
            return errors.answer(error)
        return None if answer is None else make_response(answer)


def _is_gone() -> bool:
    """Whether the client hung up. Only gunicorn shows us the socket; elsewhere everybody stays."""
    line = request.environ.get("gunicorn.socket")
    try:
        return line is not None and line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except (BlockingIOError, ValueError):  # nothing was sent; or the socket is encrypted and cannot be asked
        return False
    except OSError:
        return True
