"""Trying dead letters again: which kind one is can be told from its id, and each kind has its own bell."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from flask import current_app

from api.bells import ring
from api.deeds import record
from api.session import db
from models.services import billing_events, quarantine
from tasks.queue import TaskName, enqueue


def revive(letter_id: str, *, repeat: Collection[str]) -> dict[str, Any]:
    """Let it be tried afresh; audited. Answers what stands in its place."""
    try:
        execution_id = UUID(letter_id)
    except ValueError:
        return _event(letter_id)
    return _run(execution_id, repeat)


def _event(event_id: str) -> dict[str, Any]:
    billing_events.retry_dead(db(), event_id)
    record("dead_letter.retried", None, event=event_id)
    enqueue(db(), TaskName.HANDLE_STRIPE_EVENT, event_id=event_id)
    return {"id": event_id, "status": "received"}


def _run(execution_id: UUID, repeat: Collection[str]) -> dict[str, Any]:
    limits = current_app.extensions["settings"].run_limits
    new = quarantine.retry(db(), execution_id, repeat=repeat, limits=limits).execution
    record("dead_letter.retried", new.user_id, execution=str(execution_id), retried_as=str(new.id))
    ring(new)
    return {"id": str(execution_id), "status": new.status, "executionId": new.id}
