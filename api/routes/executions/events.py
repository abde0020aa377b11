"""One stream of events for all runs of a user."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.auth.authenticate import current_user, signed_in
from api.live.event_stream import last_event_id
from api.live.run_feed import stream
from api.openapi import describes
from api.schemas.executions.executions import EventOut
from api.schemas.executions.long_poll import EventsQuery

bp = Blueprint("events", __name__, url_prefix="/events")


@bp.get("")
@signed_in
@describes(response=EventOut, query=EventsQuery, media="text/event-stream")
def index() -> ResponseReturnValue:
    """Stream the caller's runs as server-sent events: each when it changes, as the list of runs shows it."""
    return stream(current_user(), last_event_id())
