"""Cancels or retries many runs in one transaction. Each has an outcome of its own; a refused one changes nothing."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from models.errors import ForgeError
from models.rules.executions.deadlines import DEFAULT_TIME_LIMITS, RunTimeLimits
from models.rules.executions.states import TERMINAL, ExecutionStatus
from models.services.executions import executions, listing, retries
from models.services.orchestration import execution_tree
from models.services.workflows import runnable
from models.tables import Execution, User

MAX_RUNS = 100  # in one transaction
CANCELLABLE = frozenset(ExecutionStatus) - TERMINAL - {ExecutionStatus.CANCELLING}


@dataclass(frozen=True)
class BulkOutcome:
    """The outcome for the run `execution_id`: the changed or new run, or the reason for which it was refused."""

    execution_id: UUID
    run: Execution | None = None
    refusal: ForgeError | None = None


def cancel(session: Session, owner: User, ids: Collection[UUID]) -> list[BulkOutcome]:
    """Cancel runs of `owner`, as `executions.request_cancel` does for one."""
    execution_tree.lock(session, ending=list(ids), owner=owner.id)  # all at once, because the order prevents deadlocks
    return _each(session, ids, lambda run_id: executions.request_cancel(session, owner, run_id))


def retry(
    session: Session,
    owner: User,
    ids: Collection[UUID],
    *,
    max_credits: Decimal | None = None,
    version: runnable.RequestedVersion | None = None,
    limits: RunTimeLimits = DEFAULT_TIME_LIMITS,
) -> list[BulkOutcome]:
    """Retry runs of `owner`, as `retries.retry` does for one; `max_credits` limits the cost of each."""

    def again(run_id: UUID) -> Execution:
        return retries.retry(session, owner, run_id, max_credits=max_credits, version=version, limits=limits).execution

    return _each(session, ids, again)


def matching(session: Session, owner: User, among: Collection[ExecutionStatus], **filters: Any) -> Sequence[Execution]:
    """The newest runs that the filters of `listing.list_owned` find in these states, at most `MAX_RUNS`."""
    return listing.list_owned(session, owner, among=among, limit=MAX_RUNS, **filters)


def _each(session: Session, ids: Collection[UUID], act: Callable[[UUID], Execution]) -> list[BulkOutcome]:
    return [_one(session, run_id, act) for run_id in dict.fromkeys(ids)]


def _one(session: Session, run_id: UUID, act: Callable[[UUID], Execution]) -> BulkOutcome:
    try:
        with session.begin_nested():
            return BulkOutcome(run_id, run=act(run_id))
    except ForgeError as refusal:
        return BulkOutcome(run_id, refusal=refusal)
