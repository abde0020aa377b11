"""Stripe's webhook: events are verified, stored once and acknowledged. A worker handles them."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from api.http.session import db
from api.jobs.stripe_webhook import signed_event
from api.openapi import describes
from api.schemas.operations import ReceivedOut
from models.services.stripe import stripe_events
from tasks.queue import TaskName, enqueue

bp = Blueprint("webhooks", __name__, url_prefix="/webhooks")


@bp.post("/stripe")
@describes(
    response=ReceivedOut, headers=("Stripe-Signature",), errors=("bad_signature", "bad_event", "livemode_mismatch")
)
def stripe() -> ResponseReturnValue:
    """Receive an event from Stripe; a repeat is acknowledged and has no effect."""
    event = signed_event()
    if stripe_events.receive(db(), **vars(event)):
        enqueue(db(), TaskName.HANDLE_STRIPE_EVENT, event_id=event.event_id)
    return {"received": True}
