"""Change tags of runs, which clients that wait for a change compare."""

from collections.abc import Collection, Iterator
from typing import NamedTuple, Self
from uuid import UUID

from sqlalchemy.orm import Session

from models.raw_statement import PreparedStatement
from models.rules.executions.states import ExecutionStatus
from models.services.executions.snapshots import OwnedRun
from models.tables import Execution

_TAGS = PreparedStatement("""
    SELECT user_id, id, last_seq, status FROM workflow_executions WHERE id = ANY(CAST(:ids AS uuid[]))
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


def change_tags(session: Session, ids: Collection[UUID]) -> dict[UUID, ChangeTag]:
    """The tags of the existing runs among `ids`."""
    return {run.run_id: tag for run, tag in _tags(session, ids)}


def owned_tags(session: Session, asked: Collection[OwnedRun]) -> dict[OwnedRun, ChangeTag]:
    """The tags of the runs that belong to those who ask; the others are left out."""
    wanted = set(asked)
    return {run: tag for run, tag in _tags(session, {run.run_id for run in wanted}) if run in wanted}


def _tags(session: Session, ids: Collection[UUID]) -> Iterator[tuple[OwnedRun, ChangeTag]]:
    for owner_id, run_id, seq, status in _TAGS.rows(session, {"ids": list(ids)}):
        yield OwnedRun(owner_id, run_id), ChangeTag(seq, ExecutionStatus(status))
