"""Money's jobs: what users want from Stripe, and what Stripe tells us. The rows say what must be done."""

from uuid import UUID

from celery_config import app
from models.db import session_scope
from models.services import billing_events, stripe_requests
from tasks.lifecycle import follower
from tasks.queue import TaskName, enqueue
from workers.billing import events, requests


@app.task(name=TaskName.STRIPE_REQUEST)
def perform_request(request_id: str) -> None:
    """Do what a user wants from Stripe. Safe to deliver twice: one worker claims the row, one key goes to Stripe."""
    requests.perform(follower(), UUID(request_id))


@app.task(name=TaskName.HANDLE_STRIPE_EVENT)
def handle_event(event_id: str) -> None:
    """Let an event of Stripe's take effect. Safe to deliver twice: what it leads to has keys of its own."""
    events.handle(follower(), event_id)


@app.task(name=TaskName.BILLING_SWEEP)
def sweep() -> None:
    """Ring again for requests and events whose bell was lost, whose wait is over, or whose worker died."""
    with session_scope() as session:
        for request_id in stripe_requests.due(session):
            enqueue(session, TaskName.STRIPE_REQUEST, request_id=request_id)
        for event_id in billing_events.due(session):
            enqueue(session, TaskName.HANDLE_STRIPE_EVENT, event_id=event_id)
