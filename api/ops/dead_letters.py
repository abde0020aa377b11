"""Retries of dead letters: a UUID is the id of a run, any other id that of a Stripe event."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from flask import current_app

from api.auth.audit import record
from api.http.session import db
from models.services.executions import dead_letters
from models.services.stripe import stripe_events
from tasks.queue import TaskName, enqueue, enqueue_new_run


def retry(letter_id: str, *, repeat: Collection[str]) -> dict[str, Any]:
    """Retry a dead letter and record it in the audit log; `repeat` are ids of nodes whose effects may be repeated.

    Returns:
        The id and status of the letter, and the id of the new run.
    """
    try:
        execution_id = UUID(letter_id)
    except ValueError:
        return _event(letter_id)
    return _run(execution_id, repeat)


def _event(event_id: str) -> dict[str, Any]:
    stripe_events.retry_dead(db(), event_id)
    record("dead_letter.retried", None, event=event_id)
    enqueue(db(), TaskName.HANDLE_STRIPE_EVENT, event_id=event_id)
    return {"id": event_id, "status": "received"}


def _run(execution_id: UUID, repeat: Collection[str]) -> dict[str, Any]:
    limits = current_app.extensions["settings"].run_limits
    new = dead_letters.retry(db(), execution_id, repeat=repeat, limits=limits).execution
    record("dead_letter.retried", new.user_id, execution=str(execution_id), retried_as=str(new.id))
    enqueue_new_run(db(), new)
    return {"id": str(execution_id), "status": new.status, "executionId": new.id}
