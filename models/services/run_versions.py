"""What tells one state of a run from the next, for those who wait for a change."""

from collections.abc import Collection
from typing import NamedTuple, Self
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.execution import Execution
from models.rules.states import ExecutionStatus
from models.user import User

_VERSIONS = text("""
    SELECT id, last_seq, status FROM workflow_executions
     WHERE id = ANY(CAST(:ids AS uuid[])) AND (CAST(:owner AS uuid) IS NULL OR user_id = :owner)
""")


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
    rows = session.execute(_VERSIONS, {"ids": list(ids), "owner": owner and owner.id})
    return {row.id: Version(row.last_seq, ExecutionStatus(row.status)) for row in rows}
