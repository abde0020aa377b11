"""Change tags of runs, which clients that wait for a change compare."""

from collections.abc import Collection
from typing import NamedTuple, Self
from uuid import UUID

from sqlalchemy.orm import Session

from models.raw_statement import PreparedStatement
from models.rules.executions.states import ExecutionStatus
from models.tables import Execution, User

_TAGS = PreparedStatement("""
    SELECT id, last_seq, status FROM workflow_executions
     WHERE id = ANY(CAST(:ids AS uuid[])) AND (CAST(:owner AS uuid) IS NULL OR user_id = CAST(:owner AS uuid))
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
    rows = _TAGS.rows(session, {"ids": list(ids), "owner": owner and owner.id})
    return {run_id: ChangeTag(seq, ExecutionStatus(status)) for run_id, seq, status in rows}
