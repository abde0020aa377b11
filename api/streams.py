"""Server-sent events of a run: how it stands, and then everything that happens, until it is over.

Nothing is missed and nothing comes twice: the state says after which event the stream goes on, and a client that
comes back says which event it heard last. Whoever finds no place hears what there is and comes back by itself.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import structlog
from flask import Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api.bodies import query, show
from api.concurrency import returned
from api.hangups import Line
from api.hub import Hub, Waiter
from api.json import encode
from api.runs import document
from api.schemas.executions import LogOut
from api.schemas.watching import EventsQuery
from api.watching import hub
from models.db import session_scope
from models.errors import FieldError, ForgeError, InvalidInput
from models.execution import Execution
from models.rules.states import TERMINAL, ExecutionStatus
from models.services import executions
from models.services.executions import Sight
from models.services.run_versions import Version, versions
from models.user import User

log = structlog.get_logger(__name__)

STREAM_SECONDS = 600.0  # then the client comes back, and shows its token again
HEARTBEAT_SECONDS = 15.0
SEND_SECONDS = 10.0  # for a client to take what it is sent
RETRY, RETRY_LATER = b"retry: 2000\n\n", b"retry: 5000\n\n"  # milliseconds until a client comes back
STILL_HERE = b":\n\n"  # a comment, which tells us when nobody listens any more
BREATH_SECONDS = 0.05  # what happens in quick succession is told together
PAGE = 500


def last_event_id() -> int | None:
    """The event that the client saw last: a browser sends it in a header, others may say `?after=`."""
    header = request.headers.get("Last-Event-ID")
    if header is None:
        after: int | None = query(EventsQuery)["after"]
        return after
    if not re.fullmatch(r"[0-9]{1,18}", header):
        raise InvalidInput("Last-Event-ID is not one of ours.", errors=[FieldError("Last-Event-ID", "Must be a seq.")])
    return int(header)


def stream(owner: User, execution: Execution, after: int | None) -> Response:
    """The run's state and its events after `after`, or from now on.

    204, which keeps browsers from coming back, when there will be no more.
    """
    if execution.status in TERMINAL and after is not None and after >= execution.last_seq:
        return Response(status=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    telling = Telling(owner, execution.id, after)
    lines = _listen(hub(), telling, request.environ.get("gunicorn.socket"))
    return Response(lines, mimetype="text/event-stream", headers=headers)


@dataclass
class Telling:
    """What one client was told of one run, and what comes next."""

    owner: User
    execution_id: UUID
    after: int | None
    status: ExecutionStatus | None = None  # as it was told last
    seen: Version | None = None
    has_more: bool = False
    is_over: bool = False

    def news(self) -> bytes:
        """The next of it; nothing when the client knows it all."""
        with returned(), session_scope() as session:
            sight = executions.look(session, self.owner, self.execution_id)
            run = sight.run
            self.seen = Version.of(run)
            if self.after is None:
                self.after = run.last_seq
            lines = [] if self.status else [self._state(session, sight)]
            # The run was read before its events, so that the last one is among them.
            events = executions.logs(session, self.owner, self.execution_id, limit=PAGE, after=self.after)
            lines += [_line(event.seq, show(LogOut, event)) for event in events]
            self.after = events[-1].seq if events else self.after
            self.has_more = len(events) == PAGE
            if not self.has_more and self.status != run.status:
                lines.append(self._state(session, sight))
            self.is_over = run.status in TERMINAL and not self.has_more
            return b"".join(lines)

    def _state(self, session: Session, sight: Sight) -> bytes:
        self.status = sight.run.status
        return _line(self.after or 0, document(session, sight), b"event: state\n")


def _listen(hub: Hub, telling: Telling, line: Line | None) -> Iterator[bytes]:
    if line is not None:
        line.settimeout(SEND_SECONDS)
    until = time.monotonic() + STREAM_SECONDS
    ids = [telling.execution_id]
    with hub.waiting(telling.owner.id, ids, versions, line) as waiter:
        try:
            yield RETRY if waiter else RETRY_LATER
            while True:
                yield telling.news() or STILL_HERE
                if telling.is_over or (waiter is None and not telling.has_more):
                    return
                while waiter and not telling.has_more and not _is_stirred(waiter, telling, until):
                    if waiter.must_leave or time.monotonic() >= until:
                        return
                    yield STILL_HERE
        except (DBAPIError, PoolTimeout, ForgeError) as error:
            log.warning("stream_ended", execution_id=str(telling.execution_id), error=type(error).__name__)


def _is_stirred(waiter: Waiter, telling: Telling, until: float) -> bool:
    """Wait until there may be news; False when it is time to show that we are still here, or to end."""
    time.sleep(BREATH_SECONDS)
    left = until - time.monotonic()
    return waiter.sleep({telling.execution_id: telling.seen}, max(0.0, min(left, HEARTBEAT_SECONDS)))


def _line(seq: int, data: object, kind: bytes = b"") -> bytes:
    return b"%sid: %d\ndata: %s\n\n" % (kind, seq, encode(data))
