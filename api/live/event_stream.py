"""Server-sent events of a run: its state, and then every event until it has ended.

No event is missed or sent twice: the state carries the seq after which the stream goes on, and a client that reconnects
names the last event that it saw. If no slot is free, the client gets the present events and reconnects later.
"""

import re
import time
from dataclasses import dataclass
from uuid import UUID

import structlog
from flask import Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api.auth.authenticate import current_credential
from api.http.json import encode
from api.http.parsing import query, show
from api.http.wait import Messages, StreamedResponse
from api.live.change_notifier import ChangeNotifier
from api.live.execution_document import document
from api.live.long_poll import notifier
from api.schemas.executions.executions import LogOut
from api.schemas.executions.long_poll import EventsQuery
from models.db import session_scope
from models.errors import FieldError, ForgeError, InvalidInput
from models.rules.executions.states import TERMINAL, ExecutionStatus
from models.services.executions import executions
from models.services.executions.change_tags import ChangeTag, change_tags
from models.services.executions.executions import ExecutionSnapshot
from models.tables import Execution, User

log = structlog.get_logger(__name__)

STREAM_SECONDS = 600.0  # then the client reconnects, and is authenticated again
HEARTBEAT_SECONDS = 15.0
RETRY, RETRY_LATER = b"retry: 2000\n\n", b"retry: 5000\n\n"  # milliseconds until a client reconnects
HEARTBEAT = b":\n\n"  # a comment; sending it fails if the client is gone
COALESCE_SECONDS = 0.05  # events in quick succession are sent together
PAGE = 500


def last_event_id() -> int | None:
    """The seq of the last event that the client saw, from the header that browsers send, or from `?after=`."""
    header = request.headers.get("Last-Event-ID")
    if header is None:
        after: int | None = query(EventsQuery)["after"]
        return after
    if not re.fullmatch(r"[0-9]{1,18}", header):
        raise InvalidInput(
            "The Last-Event-ID is not valid.",
            errors=[FieldError("Last-Event-ID", "Must be the seq of an event, a whole number.")],
        )
    return int(header)


def stream(owner: User, execution: Execution, after: int | None) -> Response:
    """Stream the run's state and its events after `after`, or from now on.

    Responds with 204, which keeps browsers from reconnecting, if no more events will come.
    """
    if execution.status in TERMINAL and after is not None and after >= execution.last_seq:
        return Response(status=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    events = EventStream(owner, current_credential(), execution.id, after)
    return StreamedResponse(_listen(notifier(), events), mimetype="text/event-stream", headers=headers)


@dataclass
class EventStream:
    """The stream of one run to one client: the events sent so far, and the next ones."""

    owner: User
    credential: UUID  # of the client: the id of its session or access key
    execution_id: UUID
    after: int | None
    status: ExecutionStatus | None = None  # as last sent
    seen: ChangeTag | None = None
    has_more: bool = False
    is_over: bool = False

    def next_messages(self) -> bytes:
        """The next messages, at most a page; empty if the client has them all."""
        with session_scope() as session:
            snapshot = executions.get_snapshot(session, self.owner, self.execution_id)
            run = snapshot.run
            self.seen = ChangeTag.of(run)
            if self.after is None:
                self.after = run.last_seq
            messages = [] if self.status else [self._state(session, snapshot)]
            # The run was read before its events, so that the last one is among them.
            events = executions.logs(session, self.owner, self.execution_id, limit=PAGE, after=self.after)
            messages += [_message(event.seq, show(LogOut, event)) for event in events]
            self.after = events[-1].seq if events else self.after
            self.has_more = len(events) == PAGE
            if not self.has_more and self.status != run.status:
                messages.append(self._state(session, snapshot))
            self.is_over = run.status in TERMINAL and not self.has_more
            return b"".join(messages)

    def _state(self, session: Session, snapshot: ExecutionSnapshot) -> bytes:
        self.status = snapshot.run.status
        return _message(self.after or 0, document(session, snapshot), b"event: state\n")


def _listen(notifier: ChangeNotifier, events: EventStream) -> Messages:
    until = time.monotonic() + STREAM_SECONDS
    ids = [events.execution_id]
    with notifier.subscribe(events.owner.id, events.credential, ids, change_tags) as subscription:
        try:
            yield RETRY if subscription else RETRY_LATER
            while subscription is None or not subscription.is_closed:
                yield events.next_messages() or HEARTBEAT
                if events.is_over or (subscription is None and not events.has_more):
                    return
                while subscription and not events.has_more:
                    left = max(0.0, min(until - time.monotonic(), HEARTBEAT_SECONDS))
                    yield subscription.changed({events.execution_id: events.seen}, left, COALESCE_SECONDS)
                    if subscription.take_wake():
                        break
                    if subscription.is_closed or time.monotonic() >= until:
                        return
                    yield HEARTBEAT
        except (DBAPIError, PoolTimeout, ForgeError) as error:
            log.warning("stream.ended", execution_id=str(events.execution_id), error=type(error).__name__)


def _message(seq: int, data: object, kind: bytes = b"") -> bytes:
    return b"%sid: %d\ndata: %s\n\n" % (kind, seq, encode(data))
