"""What users are told of their runs: a question, the end of a long one, few credits left.

Written in the transaction that records what it tells; sent afterwards.
"""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from models.base import Json
from models.notification import NotificationKind
from models.services import notifications

LONG_RUN = 60.0  # seconds: whoever started a shorter one is still looking at it

_SHORT_OF_CREDITS = text("""
    SELECT user_id FROM credits WHERE user_id = ANY(:users) AND balance - held < :below ORDER BY user_id
""")


def asked(session: Session, run: Row[Any], waiting_for: Mapping[str, Json]) -> None:
    """A run waits for its owner's answer. `run` has id, user_id and workflow_name."""
    payload = {"executionId": str(run.id), "workflowName": run.workflow_name, "message": waiting_for.get("message")}
    key = f"approval:{run.id}:{waiting_for.get('nodeId')}:{waiting_for.get('path')}"
    notifications.add(session, run.user_id, NotificationKind.APPROVAL_NEEDED, payload, key=key)


def ended(session: Session, run: Row[Any], status: str, error: Json) -> None:
    """A run is over; `run` has, besides, credits_charged and the seconds that it took."""
    if run.seconds < LONG_RUN:
        return
    payload = {
        "executionId": str(run.id),
        "workflowName": run.workflow_name,
        "status": status,
        "creditsCharged": str(run.credits_charged),
        "error": error.get("message") if isinstance(error, dict) else None,
    }
    notifications.add(session, run.user_id, NotificationKind.RUN_FINISHED, payload, key=f"run:{run.id}")


def paid(session: Session, users: Collection[UUID]) -> None:
    """These users' wallets have just been charged."""
    if not users:
        return
    values = {"users": list(users), "below": notifications.LOW_BALANCE}
    for user_id in session.scalars(_SHORT_OF_CREDITS, values).all():
        notifications.low_balance(session, user_id)
