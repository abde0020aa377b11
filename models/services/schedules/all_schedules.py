"""Schedules of all users, for operators."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.services.schedules import schedules
from models.tables import User, Workflow, WorkflowSchedule

Found = tuple[WorkflowSchedule, User]


def find(session: Session, *, email: str | None = None, limit: int) -> Sequence[Found]:
    """At most `limit` schedules with their owners, only of one address if given; the next times first."""
    query = select(WorkflowSchedule, User).join(User, WorkflowSchedule.user_id == User.id)
    query = query.join(Workflow, WorkflowSchedule.workflow_id == Workflow.id).where(Workflow.deleted_at.is_(None))
    if email is not None:
        query = query.where(func.lower(User.email) == email.lower())
    soonest = query.order_by(WorkflowSchedule.next_run_at.asc().nulls_last(), WorkflowSchedule.id).limit(limit)
    return [(schedule, owner) for schedule, owner in session.execute(soonest)]


def switch(session: Session, schedule_id: UUID, *, on: bool) -> tuple[WorkflowSchedule, bool]:
    """Switch a schedule on or off as its owner would; returns it, and whether that changed anything.

    Raises `NotFound`, and `InvalidInput` if its owner's tier does not allow it any more.
    """
    schedule = session.get(WorkflowSchedule, schedule_id)
    if schedule is None:
        raise NotFound("schedule")
    if schedule.enabled == on:
        return schedule, False
    owner = session.get_one(User, schedule.user_id)
    return schedules.update(session, owner, schedule.workflow_id, schedule_id, enabled=on), True
