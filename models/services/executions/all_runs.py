"""Finds runs of all users, for operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer

from models.errors import NotFound
from models.rules.executions.states import TERMINAL, ExecutionStatus
from models.services.rows.queries import newest_first
from models.tables import Execution, User


@dataclass(frozen=True)
class RunFilter:
    """Which runs to find: those that match every field that is not None. Child runs belong to their parents."""

    user_id: UUID | None = None
    workflow_id: UUID | None = None
    status: ExecutionStatus | None = None
    error_code: str | None = None
    worker: str | None = None  # the owner of the lease, as host:pid
    since: datetime | None = None  # submitted at this time or later
    until: datetime | None = None  # submitted before this time

    @property
    def is_empty(self) -> bool:
        """Whether it matches every run."""
        return self == RunFilter()


def find(session: Session, wanted: RunFilter, *, limit: int) -> Sequence[Execution]:
    """At most `limit` runs that match and were started by users, newest first, without inputs and outputs."""
    query = _matching(wanted).options(defer(Execution.input, raiseload=True), defer(Execution.output, raiseload=True))
    return session.scalars(newest_first(query, Execution, limit=limit)).all()


def with_owner(session: Session, execution_id: UUID) -> tuple[Execution, User]:
    """A run of any user, and its owner; raises `NotFound`."""
    run = session.get(Execution, execution_id)
    if run is None or run.expired_at is not None:
        raise NotFound("run")
    return run, session.get_one(User, run.user_id)


def _matching(wanted: RunFilter) -> Select[tuple[Execution]]:
    query = select(Execution).where(Execution.depth == 0, Execution.expired_at.is_(None))
    equal = {
        Execution.user_id: wanted.user_id,
        Execution.workflow_id: wanted.workflow_id,
        Execution.status: wanted.status,
        Execution.error["code"].astext: wanted.error_code,
        Execution.lease_owner: wanted.worker,
    }
    query = query.where(*[column == value for column, value in equal.items() if value is not None])
    if wanted.since is not None:
        query = query.where(Execution.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Execution.created_at < wanted.until)
    if wanted.status is not None and wanted.status not in TERMINAL:
        query = query.where(Execution.finished_at.is_(None))  # these have indexes of their own
    return query
