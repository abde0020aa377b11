"""Server-sent events of a run: what happened since the client last heard, and what happens while it listens.

A listener holds a thread, so only a few may wait at a time; whoever finds no place hears what there is and comes back
by itself, as everybody does after a while. Nothing is missed: clients say which event they saw last.
"""

import re
import threading
import time
from collections.abc import Iterator
from uuid import UUID

import structlog
from flask import Response, request
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.bodies import query, show
from api.json import encode
from api.schemas.executions import LogOut, LogsQuery
from models.db import session_scope
from models.errors import FieldError, InvalidInput
from models.execution import Execution
from models.rules.states import TERMINAL
from models.services import executions
from models.user import User

log = structlog.get_logger(__name__)

LISTENERS = threading.BoundedSemaphore(8)  # of this process: the other threads answer requests
LISTEN_SECONDS = 20.0  # shorter than a deploy waits for the last answers
LOOK_SECONDS = 1.0
RETRY = b"retry: 2000\n\n"  # milliseconds until a client comes back
STILL_HERE = b":\n\n"  # a comment, which tells us when nobody listens any more
PAGE = 500


def last_event_id() -> int:
    """The event that the client saw last: a browser sends it in a header, others may say `?after=`."""
    header = request.headers.get("Last-Event-ID")
    if header is None:
        return int(query(LogsQuery)["after"])
    if not re.fullmatch(r"[0-9]{1,18}", header):
        raise InvalidInput("Last-Event-ID is not one of ours.", errors=[FieldError("Last-Event-ID", "Must be a seq.")])
    return int(header)


def stream(owner: User, execution: Execution, after: int) -> Response:
    """The events after `after`; 204, which keeps browsers from coming back, when there will be no more."""
    if execution.status in TERMINAL and after >= execution.last_seq:
        return Response(status=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(_listen(owner, execution.id, after), mimetype="text/event-stream", headers=headers)


def _listen(owner: User, execution_id: UUID, after: int) -> Iterator[bytes]:
    has_place = LISTENERS.acquire(blocking=False)
    until = time.monotonic() + (LISTEN_SECONDS if has_place else 0)
    try:
        yield RETRY
        while True:
            is_over, lines = _look(owner, execution_id, after)
            for seq, line in lines:
                after = seq
                yield line
            if len(lines) == PAGE:
                continue
            if is_over or time.monotonic() >= until:
                return
            time.sleep(LOOK_SECONDS)
            yield STILL_HERE
    except (OperationalError, PoolTimeout) as error:
        log.warning("stream_ended", execution_id=str(execution_id), error=type(error).__name__)
    finally:
        if has_place:
            LISTENERS.release()


def _look(owner: User, execution_id: UUID, after: int) -> tuple[bool, list[tuple[int, bytes]]]:
    """Whether the run is over, and its next events. Asked in this order, the last event is not missed."""
    with session_scope() as session:
        is_over = executions.get(session, owner, execution_id).status in TERMINAL
        events = executions.logs(session, owner, execution_id, limit=PAGE, after=after)
        return is_over, [(event.seq, _line(event.seq, show(LogOut, event))) for event in events]


def _line(seq: int, event: object) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (seq, encode(event))
