"""Notifications about runs: an approval is needed, a long run ended, few credits are left.

They are written in the transaction that records their cause, and sent afterwards.
"""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from models.serialization import Json
from models.services.notifications import notifications
from models.services.orchestration.journal_statement import WrittenRun
from models.tables import NotificationKind

LONG_RUN = 60.0  # seconds; the owner of a shorter run probably still watches it


def approval_requested(session: Session, run: WrittenRun, waiting_for: Mapping[str, Json]) -> None:
    """Notify the owner of a run that waits for an approval."""
    payload = {"executionId": str(run.id), "workflowName": run.workflow_name, "message": waiting_for.get("message")}
    key = f"approval:{run.id}:{waiting_for.get('nodeId')}:{waiting_for.get('path')}"
    notifications.add(session, run.user_id, NotificationKind.APPROVAL_NEEDED, payload, key=key)


def ended(session: Session, run: WrittenRun | Row[Any], status: str, error: Json) -> None:
    """Notify the owner of the end of a long run. `run` has id, user_id, workflow_name, credits_charged and seconds."""
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
    """Notify those of these users, whose wallets were just charged, who have few credits left."""
    for user_id in sorted(users):  # a row of each is written, in one order everywhere
        notifications.low_balance(session, user_id)
