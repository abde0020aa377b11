"""Where Stripe tells us what happened: proved, stored once, acknowledged. A worker acts on it."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.openapi import describes
from api.schemas.operations import ReceivedOut
from api.session import db
from api.stripe_events import signed_event
from models.services import billing_events
from tasks.queue import TaskName, enqueue

bp = Blueprint("webhooks", __name__, url_prefix="/webhooks")


@bp.post("/stripe")
@describes(
    answers=ReceivedOut, headers=("Stripe-Signature",), refuses=("bad_signature", "bad_event", "livemode_mismatch")
)
def stripe() -> ResponseReturnValue:
    """Keep an event; a repeat is acknowledged like the first one and rings for nobody."""
    event = signed_event()
    if billing_events.receive(db(), **vars(event)):
        enqueue(db(), TaskName.HANDLE_STRIPE_EVENT, event_id=event.event_id)
    return {"received": True}
