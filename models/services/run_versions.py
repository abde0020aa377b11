"""What tells one state of a run from the next, for those who wait for a change."""

from collections.abc import Collection
from typing import NamedTuple, Self
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.execution import Execution
from models.rules.states import ExecutionStatus
from models.user import User


class Version(NamedTuple):
    """The newest event and the status: a run that a worker takes or is asked to stop changes without an event."""

    seq: int
    status: ExecutionStatus

    @classmethod
    def of(cls, execution: Execution) -> Self:
        """The present version of a run."""
        return cls(execution.last_seq, execution.status)

    @property
    def tag(self) -> str:
        """As an ETag says it."""
        return f"{self.seq}-{self.status}"


def versions(session: Session, ids: Collection[UUID], owner: User | None = None) -> dict[UUID, Version]:
    """The versions of those runs that there are, or of those of them that are `owner`'s."""
    query = select(Execution.id, Execution.last_seq, Execution.status).where(Execution.id.in_(ids))
    if owner is not None:
        query = query.where(Execution.user_id == owner.id)
    return {row.id: Version(row.last_seq, row.status) for row in session.execute(query)}
