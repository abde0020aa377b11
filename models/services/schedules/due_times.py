"""Starts the runs of schedules whose time has come, once for each time however many processes do so.

A schedule is claimed, its run submitted and its next time set in one transaction. So a process that dies leaves the
schedule due, and another one that comes at the same time skips it. That a time starts one run is also a unique index.

Times that were missed, because nothing ran, start one run together. A time that starts no run is recorded with the
reason, and after `MAX_REFUSALS` of them in a row the schedule is switched off and its owner is notified.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from models.errors import Conflict, ForgeError, InvalidInput, TransientError
from models.rules.executions.deadlines import DEFAULT_TIME_LIMITS, RunTimeLimits
from models.rules.values.cron import CronExpression, InvalidCron
from models.rules.values.zones import UnknownTimeZone
from models.services.accounts.sessions import AccountLocked
from models.services.executions import executions
from models.services.notifications import notifications
from models.services.operations import audit
from models.services.orchestration.submission import ScheduledTime
from models.services.rows import inbox
from models.services.schedules import schedules
from models.tables import Execution, NotificationKind, User, Workflow, WorkflowSchedule

MAX_REFUSALS = 10  # in a row, after which a schedule is switched off
TAG = "schedule"  # of every run that a schedule started

DueTime = tuple[datetime, UUID]  # the time, and the schedule


class Result(StrEnum):
    """What became of a time."""

    STARTED = "started"
    REFUSED = "refused"
    SWITCHED_OFF = "switched_off"  # after the last of many refusals
    SKIPPED = "skipped"  # because the account is locked, or the workflow deleted


@dataclass(frozen=True)
class Handled:
    """What became of a time: the run that has to be enqueued, or notifications to send."""

    result: Result
    execution: Execution | None = None
    notifications: Sequence[UUID] = ()


class WorkflowDeleted(Conflict):
    """The workflow is deleted."""

    code = "workflow_deleted"

    def __init__(self) -> None:
        super().__init__("The workflow was deleted.")


def due(session: Session, *, limit: int, after: DueTime | None = None) -> Sequence[DueTime]:
    """At most `limit` schedules whose time has come, the oldest times first; `after` is the last of the page before."""
    place = (WorkflowSchedule.next_run_at, WorkflowSchedule.id)
    query = select(*place).where(WorkflowSchedule.next_run_at <= func.now())
    if after is not None:
        query = query.where(tuple_(*place) > after)
    return [(time, schedule_id) for time, schedule_id in session.execute(query.order_by(*place).limit(limit))]


def handle(session: Session, schedule_id: UUID, *, limits: RunTimeLimits = DEFAULT_TIME_LIMITS) -> Handled | None:
    """Start the run of a schedule that is due, or record why there is none.

    Args:
        session: the session of a transaction of its own.
        schedule_id: the schedule.
        limits: the deployment's limits of runs.

    Returns:
        What became of the time; None if the schedule is not due any more, or another process has it.

    Raises:
        TransientError: nothing can be started now; roll back, so that the schedule stays due.
    """
    is_due = WorkflowSchedule.next_run_at <= func.now()
    schedule = inbox.claim(session, WorkflowSchedule, WorkflowSchedule.id == schedule_id, is_due)
    if schedule is None or schedule.next_run_at is None:
        return None
    due_at = schedule.next_run_at
    now = session.scalars(select(func.now())).one()
    try:
        expression = CronExpression(schedule.cron)
        schedule.next_run_at = next(expression.after(now, schedule.time_zone))
    except (InvalidCron, UnknownTimeZone) as error:  # it was valid elsewhere: where other zones are known
        return _refused(session, schedule, due_at, InvalidInput(str(error)), for_good=True)
    try:
        with session.begin_nested():
            run = _submit(session, schedule, expression, due_at, limits)
    except TransientError:
        raise
    except ForgeError as error:
        return _refused(session, schedule, due_at, error)
    schedule.last_run_at, schedule.last_execution_id = due_at, run.id
    schedule.last_error, schedule.refusals = None, 0
    session.flush()
    return Handled(Result.STARTED, run)


def oldest_overdue_seconds(session: Session) -> float:
    """The age of the oldest time that was not handled; 0 if there is none."""
    oldest = func.min(WorkflowSchedule.next_run_at)
    age = func.extract("epoch", func.now() - oldest)
    return max(0.0, float(session.scalar(select(age)) or 0))


def _submit(
    session: Session, schedule: WorkflowSchedule, expression: CronExpression, due_at: datetime, limits: RunTimeLimits
) -> Execution:
    owner = session.get_one(User, schedule.user_id, populate_existing=True)
    if owner.locked_at or owner.deleted_at:
        raise AccountLocked
    if session.get_one(Workflow, schedule.workflow_id, populate_existing=True).deleted_at:
        raise WorkflowDeleted
    schedules.require_allowed(owner.subscription_tier, expression)
    return executions.submit(
        session,
        owner,
        schedule.workflow_id,
        input=schedule.input,
        max_credits=schedule.max_credits,
        tags=[TAG],
        scheduled=ScheduledTime(schedule.id, due_at),
        limits=limits,
    )


def _refused(
    session: Session, schedule: WorkflowSchedule, due_at: datetime, error: ForgeError, *, for_good: bool = False
) -> Handled:
    """Record why a time started no run; `for_good` if no later one can."""
    message = error.errors[0].message if error.errors else error.detail
    schedule.last_error = {"code": error.code, "message": message, "at": due_at.isoformat()}
    result = Result.SKIPPED if isinstance(error, AccountLocked | WorkflowDeleted) else Result.REFUSED
    sent: Sequence[UUID] = ()
    if result is Result.REFUSED:
        schedule.refusals += 1
        if for_good or schedule.refusals >= MAX_REFUSALS:
            result, sent = Result.SWITCHED_OFF, _switch_off(session, schedule, due_at, message)
    session.flush()
    return Handled(result, notifications=sent)


def _switch_off(session: Session, schedule: WorkflowSchedule, due_at: datetime, reason: str) -> Sequence[UUID]:
    """Switch a schedule off, and return the notifications of its owner."""
    schedule.enabled, schedule.next_run_at = False, None
    about = {"schedule": str(schedule.id), "workflow": str(schedule.workflow_id)}
    audit.record(session, actor=None, action="schedule.switched_off", subject=schedule.user_id, data=about)
    workflow = session.get_one(Workflow, schedule.workflow_id)
    payload = {
        "scheduleId": str(schedule.id),
        "workflowId": str(workflow.id),
        "workflowName": workflow.name,
        "name": schedule.name,
        "reason": reason,
        "refusals": schedule.refusals,
    }
    key = f"schedule-stopped:{schedule.id}:{due_at.isoformat()}"
    return notifications.add(session, schedule.user_id, NotificationKind.SCHEDULE_STOPPED, payload, key=key)
