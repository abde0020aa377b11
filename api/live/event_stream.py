"""Server-sent events of a run: its state, and then every event until it has ended.

No event is missed or sent twice: the state carries the seq after which the stream goes on, and a client that reconnects
names the last event that it saw. If no slot is free, the client gets the present events and reconnects later.
"""

import re
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from flask import Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.auth.authenticate import current_credential
from api.http.json import encode
from api.http.parsing import query
from api.http.wait import Messages, Pause, Read, StreamedResponse
from api.live import run_views
from api.live.change_notifier import ChangeNotifier, ChangeSubscription
from api.live.long_poll import notifier
from api.live.run_views import NewsQuery, RunNews
from api.schemas.executions.long_poll import EventsQuery
from models.errors import FieldError, ForgeError, InvalidInput
from models.rules.executions.states import TERMINAL, ExecutionStatus
from models.services.executions.change_tags import ChangeTag, change_tags
from models.services.executions.snapshots import OwnedRun
from models.tables import Execution, User

log = structlog.get_logger(__name__)

STREAM_SECONDS = 600.0  # then the client reconnects, and is authenticated again
HEARTBEAT_SECONDS = 15.0
RETRY, RETRY_LATER = b"retry: 2000\n\n", b"retry: 5000\n\n"  # milliseconds until a client reconnects
HEARTBEAT = b":\n\n"  # a comment; sending it fails if the client is gone
COALESCE_SECONDS = 0.05  # events in quick succession are sent together


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
    events = EventStream(OwnedRun(owner.id, execution.id), current_credential(), after)
    return StreamedResponse(_listen(notifier(), events), mimetype="text/event-stream", headers=headers)


@dataclass
class EventStream:
    """The stream of one run to one client: the events sent so far, and the next ones."""

    asked: OwnedRun
    credential: UUID  # of the client: the id of its session or access key
    after: int | None
    status: ExecutionStatus | None = None  # as last sent
    seen: ChangeTag | None = None
    has_more: bool = False
    is_over: bool = False

    def news(self) -> Read:
        """Read what the client does not know yet."""
        return Read(run_views.load_news, NewsQuery(self.asked, self.status, self.after))

    def messages(self, news: RunNews) -> bytes:
        """The messages about `news`, of which there is at most a page; empty if the client has them all."""
        run = news.run
        self.seen = ChangeTag.of(run)
        if self.after is None:
            self.after = run.last_seq
        messages = [] if self.status else [self._state(news)]
        messages += [_message(seq, event) for seq, event in news.events]
        self.after = news.events[-1][0] if news.events else self.after
        self.has_more = len(news.events) == run_views.PAGE
        if not self.has_more and self.status != run.status:
            messages.append(self._state(news))
        self.is_over = run.status in TERMINAL and not self.has_more
        return b"".join(messages)

    def _state(self, news: RunNews) -> bytes:
        self.status = news.run.status
        return _message(self.after or 0, news.document, b"event: state\n")


def _listen(notifier: ChangeNotifier, events: EventStream) -> Messages:
    until = time.monotonic() + STREAM_SECONDS
    owner_id, run_id = events.asked
    with notifier.subscribe(owner_id, events.credential, [run_id], change_tags) as subscription:
        try:
            yield RETRY if subscription else RETRY_LATER
            news = yield events.news()
            while True:
                yield events.messages(news) or HEARTBEAT
                if events.is_over:
                    return
                if events.has_more:
                    news = yield events.news()
                elif subscription is not None:
                    news = yield from _wait(subscription, events, until)
                else:
                    return
                if news is None:
                    return
        except (DBAPIError, PoolTimeout, ForgeError) as error:
            log.warning("stream.ended", execution_id=str(run_id), error=type(error).__name__)


def _wait(
    subscription: ChangeSubscription, events: EventStream, until: float
) -> Generator[bytes | Pause, Any, RunNews | None]:
    """Send heartbeats until there are news, which are returned; None at the end of the stream."""
    while True:
        left = max(0.0, min(until - time.monotonic(), HEARTBEAT_SECONDS))
        news = yield subscription.changed({events.asked.run_id: events.seen}, left, COALESCE_SECONDS, events.news())
        if news is not None or subscription.is_closed or time.monotonic() >= until:
            return news
        yield HEARTBEAT


def _message(seq: int, data: object, kind: bytes = b"") -> bytes:
    return b"%sid: %d\ndata: %s\n\n" % (kind, seq, encode(data))
