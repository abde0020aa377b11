"""Schedules of workflows as their owners see and change them; `due_times` starts the runs.

The owner's tier limits how many there are and how often one may run. Both are checked when a schedule is saved; how
often also when it is due, because the tier may be lower by then.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, defer

from models.errors import Conflict, FieldError, InvalidInput, NotFound, Quota
from models.rules.prices.pricing import CURRENT, PLANS, Tier
from models.rules.values.cron import CronExpression, InvalidCron
from models.rules.values.zones import UnknownTimeZone
from models.rules.values.zones import time_zone as zone_of
from models.serialization import Json
from models.services.rows.queries import Position, lock_user, newest_first
from models.services.workflows import workflows
from models.tables import User, Workflow, WorkflowSchedule

MAX_OF_WORKFLOW = 20
PREVIEWED = 5  # times


class ScheduleLimitReached(Conflict):
    """There are as many schedules as the tier, or one workflow, allows."""

    code = "schedule_limit_reached"

    def __init__(self, who: str, limit: int, current: int) -> None:
        super().__init__(
            f"{who} allows {limit} schedules: delete one before you add another.", quota=Quota(limit, current)
        )


class Preview(NamedTuple):
    """What a cron expression means: in English, and its next times."""

    description: str
    times: Sequence[datetime]


def preview(session: Session, owner: User, cron: str, zone: str) -> Preview:
    """Describe a schedule that `owner` might save; raises `InvalidInput` as `create` does."""
    expression = _checked(owner.subscription_tier, cron, zone)
    return Preview(expression.description, expression.next_times(_now(session), zone, PREVIEWED))


def create(
    session: Session,
    owner: User,
    workflow_id: UUID,
    *,
    cron: str,
    time_zone: str,
    name: str = "",
    input: Json = None,
    max_credits: Decimal | None = None,
    enabled: bool = True,
) -> WorkflowSchedule:
    """Add a schedule to a workflow.

    Args:
        session: the session of the transaction.
        owner: the user who owns the workflow and pays for the runs.
        workflow_id: the workflow.
        cron: when it runs, see `models.rules.values.cron`.
        time_zone: the IANA time zone in which that is meant.
        name: of its owner's choice.
        input: any JSON, for the workflow's input nodes.
        max_credits: limits the cost of each run, as for one that is submitted.
        enabled: whether it runs.

    Raises:
        NotFound: `owner` has no such workflow.
        ScheduleLimitReached: there are as many as the tier, or one workflow, allows.
        InvalidInput: the expression, the time zone or `max_credits` is not valid, or runs would follow each other too
            closely for the tier.
    """
    tier = lock_user(session, owner.id)
    workflows.check_owned(session, owner, workflow_id)
    _check_number(session, owner, tier, workflow_id)
    schedule = WorkflowSchedule(user_id=owner.id, workflow_id=workflow_id, name=name, input=input, enabled=enabled)
    schedule.cron, schedule.time_zone, schedule.max_credits = cron, time_zone, _enough(max_credits)
    _set_next(session, tier, schedule)
    session.add(schedule)
    session.flush()
    return schedule


def list_owned(
    session: Session,
    owner: User,
    *,
    workflow_ids: Collection[UUID] | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[WorkflowSchedule]:
    """A page of `owner`'s schedules, newest first, without their inputs; only of these workflows if given."""
    query = _owned(owner).options(defer(WorkflowSchedule.input, raiseload=True))
    if workflow_ids is not None:
        query = query.where(WorkflowSchedule.workflow_id.in_(workflow_ids))
    return session.scalars(newest_first(query, WorkflowSchedule, limit=limit, offset=offset, after=after)).all()


def list_of_workflow(session: Session, owner: User, workflow_id: UUID, **page: Any) -> Sequence[WorkflowSchedule]:
    """A page of the schedules of one workflow, as `list_owned`; raises `NotFound`."""
    workflows.check_owned(session, owner, workflow_id)
    return list_owned(session, owner, workflow_ids=[workflow_id], **page)


def get(session: Session, owner: User, workflow_id: UUID, schedule_id: UUID, *, lock: bool = False) -> WorkflowSchedule:
    """A schedule of a workflow, locked until the transaction ends if `lock`; raises `NotFound`."""
    query = _owned(owner).where(WorkflowSchedule.id == schedule_id, WorkflowSchedule.workflow_id == workflow_id)
    if lock:
        query = query.with_for_update(of=WorkflowSchedule)
    found = session.scalar(query.execution_options(populate_existing=True))
    if found is None:
        raise NotFound("schedule")
    return found


def update(session: Session, owner: User, workflow_id: UUID, schedule_id: UUID, **changes: Any) -> WorkflowSchedule:
    """Change the given values, which are those of `create`, and raise as that does.

    Another time, and switching it on, count from now.
    """
    schedule = get(session, owner, workflow_id, schedule_id, lock=True)
    was = (schedule.cron, schedule.time_zone, schedule.enabled)
    if "max_credits" in changes:
        changes["max_credits"] = _enough(changes["max_credits"])
    for name, value in changes.items():
        setattr(schedule, name, value)
    if (schedule.cron, schedule.time_zone, schedule.enabled) != was:
        _set_next(session, owner.subscription_tier, schedule)
        schedule.refusals = 0
    session.flush()
    return schedule


def delete(session: Session, owner: User, workflow_id: UUID, schedule_id: UUID) -> WorkflowSchedule:
    """Delete a schedule and return it as it was; its runs stay. Raises `NotFound`."""
    schedule = get(session, owner, workflow_id, schedule_id, lock=True)
    session.delete(schedule)
    session.flush()
    return schedule


def require_allowed(tier: Tier, expression: CronExpression) -> None:
    """Raise `InvalidInput` if runs would follow each other too closely for the tier."""
    least = PLANS[tier].limits.min_schedule_seconds
    if expression.min_interval_seconds < least:
        minutes = "a minute" if least == 60 else f"{least // 60} minutes"
        message = f"Must leave at least {minutes} between two runs, or choose a higher tier than {tier}."
        raise InvalidInput("The schedule runs too often.", errors=[FieldError("cron", message)])


def _owned(owner: User) -> Select[tuple[WorkflowSchedule]]:
    shown = select(WorkflowSchedule).join(Workflow, WorkflowSchedule.workflow_id == Workflow.id)
    return shown.where(WorkflowSchedule.user_id == owner.id, Workflow.deleted_at.is_(None))


def _check_number(session: Session, owner: User, tier: Tier, workflow_id: UUID) -> None:
    """Raise `ScheduleLimitReached`; the lock of the user keeps concurrent requests from exceeding the limit."""
    of_workflow = func.count().filter(WorkflowSchedule.workflow_id == workflow_id)
    counted = _owned(owner).with_only_columns(func.count(), of_workflow)
    everywhere, here = session.execute(counted).one()
    allowed = PLANS[tier].limits.max_schedules
    if everywhere >= allowed:
        raise ScheduleLimitReached(f"The {tier} tier", allowed, everywhere)
    if here >= MAX_OF_WORKFLOW:
        raise ScheduleLimitReached("One workflow", MAX_OF_WORKFLOW, here)


def _set_next(session: Session, tier: Tier, schedule: WorkflowSchedule) -> None:
    expression = _checked(tier, schedule.cron, schedule.time_zone)
    schedule.cron = expression.text
    (following,) = expression.next_times(_now(session), schedule.time_zone, 1)
    schedule.next_run_at = following if schedule.enabled else None


def _checked(tier: Tier, cron: str, zone: str) -> CronExpression:
    field = "cron"
    try:
        expression = CronExpression(cron)
        field = "timeZone"
        zone_of(zone)
    except (InvalidCron, UnknownTimeZone) as error:
        raise InvalidInput("The schedule is not valid.", errors=[FieldError(field, str(error))]) from None
    require_allowed(tier, expression)
    return expression


def _enough(credits: Decimal | None) -> Decimal | None:
    """The most credits of a run; raises `InvalidInput` if no run could begin with them."""
    if credits is not None and credits < CURRENT.least_run:
        message = f"Must be at least {CURRENT.least_run} credits: the fee of a run and its cheapest first node."
        raise InvalidInput("No run could begin.", errors=[FieldError("maxCredits", message)])
    return credits


def _now(session: Session) -> datetime:
    return session.scalars(select(func.now())).one()
