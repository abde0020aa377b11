"""Accepts runs, shows them and stops them. Driving them is `leases` and `journal`.

A run is accepted in one transaction: its row, its hold and its first event are there together, or none of them is.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, bindparam, exists, func, select
from sqlalchemy.orm import Session, aliased, defer

from models.base import Json
from models.errors import Conflict, FieldError, ForgeError, InvalidInput, NotFound
from models.execution import Execution, ExecutionEvent
from models.plain import Plain, columns, copied
from models.rules.deadlines import DEFAULT_LIMITS, RunLimits
from models.rules.pricing import MOST_CREDITS, PLANS, Priority
from models.rules.states import TERMINAL, ExecutionStatus
from models.services import api_calls, families, receipts, runnable, storage, turns, undriven, workflows
from models.services.paging import Position, newest_first
from models.services.progress import NodeState, node_states, recorded
from models.services.receipts import below, lines, receipt
from models.services.runnable import Runnable
from models.services.waits import Standing, at_rest, standing
from models.user import User

__all__ = [
    "NodeState",
    "Sight",
    "Standing",
    "at_rest",
    "below",
    "get",
    "lines",
    "list_owned",
    "logs",
    "look",
    "node_states",
    "receipt",
    "recorded",
    "request_cancel",
    "standing",
    "submit",
]

_LOWEST_FIRST = (Priority.LOW, Priority.NORMAL, Priority.HIGH)


_CHILD = aliased(Execution)
_LOOK = Plain(
    select(
        func.clock_timestamp(),  # the database's clock, which is one for all instances
        exists().where(_CHILD.parent_execution_id == Execution.id),
        *columns(Execution),
    ).where(
        Execution.user_id == bindparam("owner", type_=Execution.user_id.type),
        Execution.id == bindparam("id", type_=Execution.id.type),
        Execution.expired_at.is_(None),
    )
)


class Sight(NamedTuple):
    """A run as it was seen at a moment, by the database's clock."""

    run: Execution  # a copy
    at: datetime
    has_children: bool


class AlreadyFinished(Conflict):
    """It is over, and not because somebody cancelled it."""

    code = "already_finished"

    def __init__(self, status: ExecutionStatus) -> None:
        super().__init__(f"This run is over already ({status}).")


class HistoryExpired(NotFound):
    """The run ended so long ago that only its receipt is left."""

    code = "history_expired"

    def __init__(self) -> None:
        ForgeError.__init__(self, "The history of this run was removed because of its age. Its receipt stays.")


def submit(
    session: Session,
    owner: User,
    workflow_id: UUID,
    *,
    input: Json = None,
    max_credits: Decimal | None = None,
    priority: Priority | None = None,
    timeout: int | None = None,
    max_queue_seconds: int | None = None,
    limits: RunLimits = DEFAULT_LIMITS,
) -> Execution:
    """Queue a run of the workflow's newest version, with the most it may cost held.

    Args:
        input: any JSON, for the workflow's input nodes.
        max_credits: lowers what the run may cost before it waits for its owner, in credits; None: the worst case.
        priority: lowers the run's place in the queue; a wish for more than the tier's is not heard.
        timeout: seconds from now in which the run must end; None: as the workflow says, or else the deployment.
        max_queue_seconds: seconds from now in which it must have been started; None likewise.
        limits: what the deployment grants; a wish for more than its maximum is not heard.

    Raises:
        NotFound: no such workflow of `owner`.
        Forbidden: the owner's tier does not reach it (`workflow_read_only`), is too small (`node_limit_reached`,
            `storage_limit_reached`), or it makes calls and this month's are used up (`api_call_limit_reached`).
        InvalidInput: its graph cannot run (code `invalid_graph`), or `max_credits` is no amount of credits.
        InsufficientCredits: the owner cannot pay it; nothing was created.
    """
    version = runnable.newest(session, owner, workflow_id)
    storage.require_room(session, owner)
    api_calls.require_some(session, owner, version.id)
    return turns.add(
        session,
        owner=owner.id,
        workflow=workflow_id,
        version=version.id,
        name=version.workflow_name,
        priority=_priority(owner, priority),
        input=input,
        cap=_cap(version.worst_case_credits, max_credits),
        nodes=version.node_count,
        timeout=limits.timeout_for(timeout, version.timeout),
        queue_seconds=limits.queue_for(max_queue_seconds, version.max_queue_seconds),
    )


def submit_again(
    session: Session,
    owner: User,
    old: Execution,
    version: Runnable,
    *,
    max_credits: Decimal | None,
    limits: RunLimits = DEFAULT_LIMITS,
) -> Execution:
    """Queue a run of a version of the same workflow with the input of an ended run, and as much time as it had.

    Raises `InsufficientCredits`, and `Forbidden` when the owner's storage or this month's calls are used up.
    """
    storage.require_room(session, owner)
    api_calls.require_some(session, owner, version.id)
    return turns.add(
        session,
        owner=owner.id,
        workflow=old.workflow_id,
        version=version.id,
        name=old.workflow_name,
        priority=_priority(owner, None),
        input=old.input,
        cap=_cap(version.worst_case_credits or old.credits_cap, max_credits),
        nodes=version.node_count,
        timeout=(old.deadline_at - old.created_at).total_seconds() if old.deadline_at else None,
        queue_seconds=limits.queue_for(version.max_queue_seconds),
        retry_of=old.id,
    )


def get(session: Session, owner: User, execution_id: UUID) -> Execution:
    """One run of `owner`'s; raises `NotFound`."""
    execution = session.scalar(_owned(owner).where(Execution.id == execution_id))
    if execution is None:
        raise _missing(session, owner, execution_id)
    return execution


def look(session: Session, owner: User, execution_id: UUID) -> Sight:
    """One run of `owner`'s, for whoever only wants to see it; raises `NotFound`."""
    row = _LOOK.first(session, {"owner": owner.id, "id": execution_id})
    if row is None:
        raise _missing(session, owner, execution_id)
    at, has_children, *facts = row
    return Sight(copied(Execution, facts), at, has_children)


def get_locked(session: Session, owner: User, execution_id: UUID) -> Execution:
    """Like `get`, and nobody else changes the run until this transaction ends."""
    execution = session.scalar(
        _owned(owner).where(Execution.id == execution_id).with_for_update().execution_options(populate_existing=True)
    )
    if execution is None:
        raise _missing(session, owner, execution_id)
    return execution


def list_owned(
    session: Session,
    owner: User,
    *,
    workflow_id: UUID | None = None,
    status: ExecutionStatus | None = None,
    ids: Collection[UUID] | None = None,
    parent_execution_id: UUID | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[Execution]:
    """A page of `owner`'s runs, the newest first, without their inputs and outputs.

    Raises `NotFound` for a workflow that is not `owner`'s; ids that are not are left out.
    """
    query = _owned(owner).options(defer(Execution.input, raiseload=True), defer(Execution.output, raiseload=True))
    if workflow_id is not None:
        workflows.check_owned(session, owner, workflow_id)
        query = query.where(Execution.workflow_id == workflow_id)
    if status is not None:
        query = query.where(Execution.status == status)
    if parent_execution_id is not None:
        query = query.where(Execution.parent_execution_id == parent_execution_id)
    if ids is not None:
        query = query.where(Execution.id.in_(ids))
    return session.scalars(newest_first(query, Execution, limit=limit, offset=offset, after=after)).all()


def logs(
    session: Session, owner: User, execution_id: UUID, *, limit: int = 100, after: int = 0
) -> Sequence[ExecutionEvent]:
    """What happened in a run after event `after`, the oldest first; raises `NotFound`."""
    if not session.scalar(select(exists(_owned(owner).where(Execution.id == execution_id)))):
        raise _missing(session, owner, execution_id)
    events = select(ExecutionEvent).where(ExecutionEvent.execution_id == execution_id, ExecutionEvent.seq > after)
    return session.scalars(events.order_by(ExecutionEvent.seq).limit(limit)).all()


def request_cancel(session: Session, owner: User, execution_id: UUID) -> Execution:
    """Stop a run: at once when nobody drives it, otherwise as soon as its driver hears of it. A repeat is fine.

    All that it started is stopped with it. Raises `NotFound`, and `AlreadyFinished` when it ended another way before.
    The rows are locked, so that no worker takes one of the runs meanwhile.
    """
    families.lock(session, ending=[execution_id], owner=owner.id)
    is_driven = func.coalesce(Execution.lease_expires_at > func.clock_timestamp(), False)
    found = session.execute(
        _owned(owner)
        .add_columns(is_driven)
        .where(Execution.id == execution_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        raise _missing(session, owner, execution_id)
    execution: Execution = found[0]
    if execution.status in TERMINAL - {ExecutionStatus.CANCELLED}:
        raise AlreadyFinished(execution.status)
    if execution.status is ExecutionStatus.CANCELLED or execution.cancel_requested_at:
        return execution
    families.stop_below(session, [execution_id])
    _stop(session, execution, is_driven=found[1])
    return execution


def _stop(session: Session, execution: Execution, *, is_driven: bool) -> None:
    asked = {"cancel_requested_at": func.now()}
    if execution.status is ExecutionStatus.RUNNING:
        undriven.change(session, execution, status=ExecutionStatus.CANCELLING, **asked)
    elif is_driven:
        undriven.change(session, execution, **asked)
    elif undriven.leaves_turns(session, execution):
        undriven.leave_to_driver(session, execution, **asked)
    else:
        undriven.end(session, execution, ExecutionStatus.CANCELLED, "Cancelled.", **asked)


def _missing(session: Session, owner: User, execution_id: UUID) -> NotFound:
    has_receipt = receipts.kept(session, owner.id, execution_id) is not None
    return HistoryExpired() if has_receipt else NotFound("execution")


def _owned(owner: User) -> Select[tuple[Execution]]:
    return select(Execution).where(Execution.user_id == owner.id, Execution.expired_at.is_(None))


def _priority(owner: User, wanted: Priority | None) -> Priority:
    allowed = PLANS[owner.subscription_tier].priority
    return min(wanted or allowed, allowed, key=_LOWEST_FIRST.index)


def _cap(worst_case: Decimal, wanted: Decimal | None) -> Decimal:
    if wanted is None:
        return worst_case
    if not wanted.is_finite() or not 0 <= wanted <= MOST_CREDITS or wanted != round(wanted, 2):
        message = "Must be an amount of credits with at most two decimals."
        raise InvalidInput("These credits cannot be held.", errors=[FieldError("maxCredits", message)])
    return min(worst_case, wanted)
