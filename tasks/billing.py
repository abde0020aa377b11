"""Billing tasks: requests to Stripe, and events from it. The rows hold the work to be done."""

from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import structlog
from celery import shared_task
from sqlalchemy.orm import Session

from models.services.stripe import purchases, stripe_events, stripe_requests, subscriptions
from tasks.bootstrap import stripe_sync
from tasks.parts import in_transaction, run_each
from tasks.queue import TaskName, enqueue
from workers.stripe import events, requests

log = structlog.get_logger(__name__)


@shared_task(name=TaskName.STRIPE_REQUEST)
def perform_request(request_id: str) -> None:
    """Perform a user's request at Stripe. Safe to deliver twice: one worker claims the row, under one Stripe key."""
    requests.perform(stripe_sync(), UUID(request_id))


@shared_task(name=TaskName.HANDLE_STRIPE_EVENT)
def handle_event(event_id: str) -> None:
    """Apply an event from Stripe. Safe to deliver twice: its effects have idempotency keys of their own."""
    events.handle(stripe_sync(), event_id)


@shared_task(name=TaskName.BILLING_SWEEP, send_events=False)
def sweep() -> None:
    """Enqueue requests and events that lost their message or worker; end grace periods; cancel abandoned purchases."""
    run_each(*(partial(in_transaction, part) for part in (_enqueue, _end_grace, _cancel_abandoned)))


def _enqueue(session: Session) -> None:
    for request_id in stripe_requests.due(session):
        enqueue(session, TaskName.STRIPE_REQUEST, request_id=request_id)
    for event_id in stripe_events.due(session):
        enqueue(session, TaskName.HANDLE_STRIPE_EVENT, event_id=event_id)


def _end_grace(session: Session) -> None:
    for user_id in subscriptions.end_grace(session, datetime.now(UTC)):
        log.info("subscription.grace_ended", user_id=str(user_id))


def _cancel_abandoned(session: Session) -> None:
    for request in purchases.cancel_abandoned(session):
        enqueue(session, TaskName.STRIPE_REQUEST, request_id=request.id)
