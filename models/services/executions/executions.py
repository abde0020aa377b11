"""Submits, reads and cancels runs for their owners.

A run is accepted in one transaction with its row, its hold and its first event.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import bindparam, exists, func, select
from sqlalchemy.orm import Session, aliased

from models.errors import Conflict, ForgeError, NotFound
from models.raw_statement import PreparedStatement, columns, copied
from models.rules.executions.deadlines import DEFAULT_TIME_LIMITS, RunTimeLimits
from models.rules.executions.states import TERMINAL, ExecutionStatus
from models.rules.prices.pricing import PLANS, Priority
from models.serialization import Json
from models.services.credits import api_calls, storage
from models.services.executions import receipts
from models.services.executions.listing import list_owned, owned
from models.services.executions.node_states import NodeState, Recorded, node_states, recorded, recorded_many
from models.services.executions.receipts import below, lines, receipt
from models.services.executions.wait_status import (
    WaitStatus,
    driven_statuses,
    undriven_status,
    undriven_statuses,
    wait_status,
)
from models.services.orchestration import execution_tree, submission, terminate
from models.services.orchestration.submission import RunRequest, ScheduledTime, Submission
from models.services.workflows import estimates, runnable
from models.tables import Execution, ExecutionEvent, User

__all__ = [
    "ExecutionSnapshot",
    "NodeState",
    "Recorded",
    "WaitStatus",
    "below",
    "driven_statuses",
    "get",
    "get_snapshot",
    "lines",
    "list_owned",
    "logs",
    "node_states",
    "prepare",
    "receipt",
    "recorded",
    "recorded_many",
    "request_cancel",
    "submit",
    "undriven_status",
    "undriven_statuses",
    "wait_status",
]

_LOWEST_FIRST = (Priority.LOW, Priority.NORMAL, Priority.HIGH)

_CHILD = aliased(Execution)
_SNAPSHOT = PreparedStatement(
    select(
        func.clock_timestamp(),  # the database's clock is the same for all processes
        exists().where(_CHILD.parent_execution_id == Execution.id),
        *columns(Execution),
    ).where(
        Execution.user_id == bindparam("owner", type_=Execution.user_id.type),
        Execution.id == bindparam("id", type_=Execution.id.type),
        Execution.expired_at.is_(None),
    )
)


class ExecutionSnapshot(NamedTuple):
    """A run at a moment `at`, by the database's clock."""

    run: Execution  # a read-only copy
    at: datetime
    has_children: bool


class AlreadyFinished(Conflict):
    """The run has ended, and not by a cancellation."""

    code = "already_finished"

    def __init__(self, status: ExecutionStatus) -> None:
        super().__init__(f"This run has already ended ({status}).")


class HistoryExpired(NotFound):
    """The run ended so long ago that only its receipt is left."""

    code = "history_expired"

    def __init__(self) -> None:
        ForgeError.__init__(self, "The history of this run was removed because of its age. Its receipt stays.")


class RunOptions(TypedDict, total=False):
    """What a run may be submitted with."""

    input: Json  # for the workflow's input nodes
    max_credits: Decimal | None  # limits the cost of the run, which waits for its owner then; None: the worst case
    priority: Priority | None  # may be lower than that of the owner's tier; None: that of the tier
    timeout: int | None  # seconds from now until the run must end; None: the workflow's, or else the deployment's
    max_queue_seconds: int | None  # seconds from now until the run must start; None: likewise
    tags: Sequence[str] | None  # words by which its owner finds it
    scheduled: ScheduledTime | None  # the time of a schedule that starts it
    limits: RunTimeLimits  # the deployment's; requested values are clamped to their maximum


def submit(session: Session, owner: User, workflow_id: UUID, **options: Unpack[RunOptions]) -> Execution:
    """Submit a run of the workflow's newest version and hold the most that it may cost.

    Args:
        session: the session of the transaction.
        owner: the user who owns the workflow and pays for the run.
        workflow_id: the workflow.
        options: as `RunOptions` describes them.

    Raises:
        NotFound: `owner` has no such workflow.
        Forbidden: the owner's tier does not allow it (`workflow_read_only`, `node_limit_reached`,
            `storage_limit_reached`), or this month's API calls are used up (`api_call_limit_reached`).
        InvalidInput: the graph cannot run (`invalid_graph`), or `max_credits` is too low or no amount of credits.
        InsufficientCredits: the owner does not have the credits; nothing was created.
    """
    prepared, max_credits = prepare(owner, workflow_id, **options), options.get("max_credits")
    if max_credits is None and (run := submission.insert_if_ready(session, prepared)):
        return run
    limits = options.get("limits", DEFAULT_TIME_LIMITS)
    version = runnable.newest(session, owner, workflow_id)
    storage.require_room(session, owner)
    api_calls.require_some(session, owner, version.id)
    return submission.insert_execution(
        session,
        owner,
        prepared.request,
        version_id=version.id,
        workflow_name=version.workflow_name,
        credits_cap=estimates.cap(session, version.id, version.worst_case_credits, max_credits),
        nodes_total=version.node_count,
        timeout_seconds=limits.timeout_for(options.get("timeout"), version.timeout),
        queue_seconds=limits.queue_for(options.get("max_queue_seconds"), version.max_queue_seconds),
    )


def prepare(owner: User, workflow_id: UUID, **options: Unpack[RunOptions]) -> Submission:
    """Prepare a run that `submission.insert_if_ready` may insert, unless its `max_credits` are limited."""
    priority = priority_of(owner, options.get("priority"))
    return submission.prepare(
        owner,
        RunRequest(workflow_id, priority, options.get("input"), options.get("tags"), options.get("scheduled")),
        timeout=options.get("timeout"),
        max_queue_seconds=options.get("max_queue_seconds"),
        limits=options.get("limits", DEFAULT_TIME_LIMITS),
    )


def get(session: Session, owner: User, execution_id: UUID) -> Execution:
    """A run of `owner`; raises `NotFound`."""
    execution = session.scalar(owned(owner).where(Execution.id == execution_id))
    if execution is None:
        raise missing(session, owner.id, execution_id)
    return execution


def get_snapshot(session: Session, owner: User, execution_id: UUID) -> ExecutionSnapshot:
    """A read-only snapshot of a run of `owner`; raises `NotFound`."""
    row = _SNAPSHOT.first(session, {"owner": owner.id, "id": execution_id})
    if row is None:
        raise missing(session, owner.id, execution_id)
    at, has_children, *values = row
    return ExecutionSnapshot(copied(Execution, values), at, has_children)


def get_locked(session: Session, owner: User, execution_id: UUID) -> Execution:
    """Like `get`, and locks the run until the transaction ends."""
    execution = session.scalar(
        owned(owner).where(Execution.id == execution_id).with_for_update().execution_options(populate_existing=True)
    )
    if execution is None:
        raise missing(session, owner.id, execution_id)
    return execution


def logs(
    session: Session, owner: User, execution_id: UUID, *, limit: int = 100, after: int = 0
) -> Sequence[ExecutionEvent]:
    """The events of a run after the one with seq `after`, oldest first; raises `NotFound`."""
    if not session.scalar(select(exists(owned(owner).where(Execution.id == execution_id)))):
        raise missing(session, owner.id, execution_id)
    events = select(ExecutionEvent).where(ExecutionEvent.execution_id == execution_id, ExecutionEvent.seq > after)
    return session.scalars(events.order_by(ExecutionEvent.seq).limit(limit)).all()


def request_cancel(session: Session, owner: User, execution_id: UUID) -> Execution:
    """Cancel a run and its child runs: at once if it is not driven, otherwise through its driver.

    A repeat changes nothing. The rows are locked, so that no worker claims one of the runs meanwhile.

    Raises:
        NotFound: `owner` has no such run.
        AlreadyFinished: the run has ended, and not by a cancellation.
    """
    execution_tree.lock(session, ending=[execution_id], owner=owner.id)
    is_driven = func.coalesce(Execution.lease_expires_at > func.clock_timestamp(), False)
    found = session.execute(
        owned(owner)
        .add_columns(is_driven)
        .where(Execution.id == execution_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        raise missing(session, owner.id, execution_id)
    execution: Execution = found[0]
    if execution.status in TERMINAL - {ExecutionStatus.CANCELLED}:
        raise AlreadyFinished(execution.status)
    if execution.status is ExecutionStatus.CANCELLED or execution.cancel_requested_at:
        return execution
    execution_tree.stop_below(session, [execution_id])
    _stop(session, execution, is_driven=found[1])
    return execution


def missing(session: Session, owner_id: UUID, execution_id: UUID) -> NotFound:
    """The error for a run that its owner does not have, or not any more."""
    has_receipt = receipts.kept(session, owner_id, execution_id) is not None
    return HistoryExpired() if has_receipt else NotFound("execution")


def _stop(session: Session, execution: Execution, *, is_driven: bool) -> None:
    requested = {"cancel_requested_at": func.now()}
    if execution.status is ExecutionStatus.RUNNING:
        terminate.change(session, execution, status=ExecutionStatus.CANCELLING, **requested)
    elif is_driven:
        terminate.change(session, execution, **requested)
    elif terminate.has_agent_turns(session, execution):
        terminate.leave_to_driver(session, execution, **requested)
    else:
        terminate.end(session, execution, ExecutionStatus.CANCELLED, "Cancelled.", **requested)


def priority_of(owner: User, wanted: Priority | None) -> Priority:
    """The priority of a run of `owner`: the wanted one, if the tier allows it."""
    allowed = PLANS[owner.subscription_tier].priority
    return min(wanted or allowed, allowed, key=_LOWEST_FIRST.index)
