"""Server-sent events of all runs of a user: each run that changed, as the list of runs shows it.

The id of an event is the time of the reading in microseconds. A client that reconnects with it gets every run that has
not ended, and those of the newest that changed while it was away; so a run may be sent twice, and none is missed.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from flask import Response
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.auth.authenticate import current_credential
from api.http.json import encode
from api.http.parsing import show
from api.http.wait import Messages, StreamedResponse
from api.live.change_notifier import ChangeNotifier
from api.live.event_stream import HEARTBEAT, HEARTBEAT_SECONDS, RETRY, RETRY_LATER, STREAM_SECONDS
from api.live.long_poll import notifier
from api.schemas.executions.executions import ExecutionOut
from models.db import session_scope
from models.errors import ForgeError
from models.rules.executions.states import TERMINAL
from models.services.executions import run_feed
from models.tables import User

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 0.5  # between two messages: a run that changes constantly is not sent more often
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stream(owner: User, after: int | None) -> Response:
    """Stream the changes of the runs of `owner`, from those after the event `after` on."""
    since = None if after is None else EPOCH + timedelta(microseconds=after)
    feed = RunFeed(owner, current_credential(), since)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamedResponse(_listen(notifier(), feed), mimetype="text/event-stream", headers=headers)


@dataclass
class RunFeed:
    """The feed of one client: the versions of the runs that it has not seen the end of."""

    owner: User
    credential: UUID  # of the client: the id of its session or access key
    since: datetime | None
    seen: dict[UUID, str] = field(default_factory=dict)  # and that of the owner's newest run, by the owner's id

    def next_messages(self) -> bytes:
        """A message for each run that changed since the last call; empty without one."""
        with session_scope() as session:
            at = run_feed.now(session)
            known = self.seen.keys() - {self.owner.id}
            newest = run_feed.versions(session, [self.owner.id])
            runs = run_feed.runs(session, self.owner, known=known, since=self.since)
            changed = [run for run in runs if self.seen.get(run.id) != f"{run.last_seq} {run.status}"]
            unended = (run for run in runs if run.status not in TERMINAL)
            self.seen = {**newest, **{run.id: f"{run.last_seq} {run.status}" for run in unended}}
            self.since = None
            event_id = (at - EPOCH) // timedelta(microseconds=1)
            return b"".join(_message(event_id, show(ExecutionOut, run)) for run in changed)


def _listen(notifier: ChangeNotifier, feed: RunFeed) -> Messages:
    until = time.monotonic() + STREAM_SECONDS
    ids = [feed.owner.id]
    with notifier.subscribe(feed.owner.id, feed.credential, ids, run_feed.versions) as subscription:
        try:
            yield RETRY if subscription else RETRY_LATER
            while subscription is None or not subscription.is_closed:
                yield feed.next_messages() or HEARTBEAT
                if subscription is None or time.monotonic() >= until:
                    return
                is_new = notifier.watch(subscription, {feed.owner.id, *feed.seen})
                if is_new and (messages := feed.next_messages()):  # what changed before its run was watched
                    yield messages
                left = max(0.0, min(until - time.monotonic(), HEARTBEAT_SECONDS))
                yield subscription.changed(dict(feed.seen), left, PAUSE_SECONDS)
                subscription.take_wake()
        except (DBAPIError, PoolTimeout, ForgeError) as error:
            log.warning("stream.ended", user_id=str(feed.owner.id), error=type(error).__name__)


def _message(event_id: int, run: object) -> bytes:
    return b"event: run\nid: %d\ndata: %s\n\n" % (event_id, encode(run))
