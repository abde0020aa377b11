"""Change tags of runs, which clients that wait for a change compare."""

from collections.abc import Collection
from typing import NamedTuple, Self
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.executions.states import ExecutionStatus
from models.tables import Execution, User

_TAGS = text("""
    SELECT id, last_seq, status FROM workflow_executions
     WHERE id = ANY(CAST(:ids AS uuid[])) AND (CAST(:owner AS uuid) IS NULL OR user_id = :owner)
""")


class ChangeTag(NamedTuple):
    """The seq of the newest event and the status, which may change without an event, as when a worker claims a run."""

    seq: int
    status: ExecutionStatus

    @classmethod
    def of(cls, execution: Execution) -> Self:
        """The current tag of a run."""
        return cls(execution.last_seq, execution.status)

    @property
    def text(self) -> str:
        """The tag as a part of an ETag."""
        return f"{self.seq}-{self.status}"


def change_tags(session: Session, ids: Collection[UUID], owner: User | None = None) -> dict[UUID, ChangeTag]:
    """The tags of the existing runs among `ids`; with `owner`, only of that user's runs."""
    rows = session.execute(_TAGS, {"ids": list(ids), "owner": owner and owner.id})
    return {row.id: ChangeTag(row.last_seq, ExecutionStatus(row.status)) for row in rows}
