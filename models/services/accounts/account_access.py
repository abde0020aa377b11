"""Locks accounts, ends all access to one, and removes the data of a registrant who never verified the address."""

from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from models.changes import notify_changed
from models.services.accounts import sessions
from models.tables import (
    UNDO_DELETION,
    AccessKey,
    Execution,
    MutedTopic,
    ProviderKey,
    PushDevice,
    Template,
    TwoFactor,
    UnsubscribeKey,
    User,
    Workflow,
)

_AS_IT_IS = {"synchronize_session": False}


def lock(session: Session, user_id: UUID) -> None:
    """Lock an account: its sessions end, none starts, and its access keys are invalid until `unlock`."""
    first = func.coalesce(User.locked_at, func.now())
    session.execute(update(User).where(User.id == user_id).values(locked_at=first), execution_options=_AS_IT_IS)
    sessions.end_others(session, user_id)


def unlock(session: Session, user_id: UUID) -> None:
    """Let the user sign in again; access keys are valid again."""
    session.execute(update(User).where(User.id == user_id).values(locked_at=None), execution_options=_AS_IT_IS)


def end(session: Session, user_id: UUID) -> None:
    """End all sessions and access keys of a user, and remove their devices, which register again at sign-in."""
    sessions.end_others(session, user_id)
    for table in (AccessKey, PushDevice):
        session.execute(delete(table).where(table.user_id == user_id), execution_options=_AS_IT_IS)


def clear(session: Session, user_id: UUID) -> None:
    """Remove a user's second factor, provider keys, workflows, templates and preferences, and stop their runs."""
    for table in (ProviderKey, TwoFactor, MutedTopic, UnsubscribeKey):
        session.execute(delete(table).where(table.user_id == user_id), execution_options=_AS_IT_IS)
    session.execute(delete(Template).where(Template.owner_id == user_id), execution_options=_AS_IT_IS)
    delete_workflows(session, user_id)  # the account may be another person's from now on
    stop_runs(session, user_id)


def delete_workflows(session: Session, user_id: UUID) -> None:
    """Delete all workflows of a user as if long ago, so that it cannot be undone and no run is kept for that."""
    kept = update(Workflow).where(Workflow.user_id == user_id, Workflow.deleted_at.is_(None))
    session.execute(kept.values(deleted_at=func.now() - UNDO_DELETION), execution_options=_AS_IT_IS)


def stop_runs(session: Session, user_id: UUID) -> None:
    """Request the cancellation of all runs of a user: drivers are notified, and the sweep ends runs without a driver.

    Rows are locked from the top of each execution tree down, as everywhere. A repeat stops only runs begun since.
    """
    unfinished = select(Execution.id).where(
        Execution.user_id == user_id,
        Execution.finished_at.is_(None),
        Execution.cancel_requested_at.is_(None) | (Execution.deadline_at > func.now()),
    )
    locked = session.scalars(unfinished.order_by(Execution.depth, Execution.id).with_for_update()).all()
    if not locked:
        return
    notify_changed(session, *locked)
    now = func.now()
    runs = update(Execution).where(Execution.id.in_(locked))
    session.execute(
        runs.values(
            cancel_requested_at=func.coalesce(Execution.cancel_requested_at, now),
            deadline_at=func.least(Execution.deadline_at, now),
        ),
        execution_options=_AS_IT_IS,
    )
