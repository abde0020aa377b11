"""Runs as they are read ahead of the requests that ask for them, for many requests at once."""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from api.http import foreseen
from models.raw_statement import reading_scope
from models.services.executions import executions, snapshots
from models.services.executions.executions import ExecutionSnapshot, Recorded, WaitStatus
from models.services.executions.snapshots import OwnedRun
from models.tables import User

MANY_EVENTS = 200  # a run with more of them is shown by itself, so that nobody waits for it


class Extent(IntEnum):
    """How much of a run is read ahead of the request that asks for it."""

    RUN = 1
    STATUS = 2  # and why it waits
    DOCUMENT = 3  # and the rows of its nodes, unless there are many


class RunHead(NamedTuple):
    """A run at one moment, as far as it was read before its document is built."""

    snapshot: ExecutionSnapshot
    extent: Extent
    wait_status: WaitStatus | None = None  # of a run without a driver
    driven: WaitStatus | None = None  # of a run with one
    recorded: Recorded | None = None

    @property
    def is_large(self) -> bool:
        """Whether to build its document may take long."""
        return self.snapshot.run.last_seq > MANY_EVENTS


def read_ahead(asked: Mapping[OwnedRun, Extent]) -> Mapping[OwnedRun, RunHead]:
    """Read runs for many clients, in a query of each kind for all of them; without those that they do not have."""
    with reading_scope() as session:
        heads = {one: RunHead(found, asked[one]) for one, found in snapshots.get_many(session, asked).items()}
        shown = [head.snapshot for head in heads.values() if head.extent >= Extent.STATUS]
        if not shown:
            return heads
        at = max(snapshot.at for snapshot in shown)
        undriven = executions.undriven_statuses(session, [snapshot.run for snapshot in shown], at)
        whole = [head.snapshot.run for head in heads.values() if head.extent is Extent.DOCUMENT and not head.is_large]
        driven = executions.driven_statuses(session, [run for run in whole if undriven.get(run.id) is None])
        recorded = executions.recorded_many(session, whole)
    return {
        one: RunHead(*head[:2], undriven.get(one.run_id), driven.get(one.run_id), recorded.get(one.run_id))
        for one, head in heads.items()
    }


def head(session: Session, owner: User, execution_id: UUID) -> RunHead:
    """A run of `owner`, as it was read ahead of this request or as it is now; raises `NotFound`."""
    found: RunHead | None = foreseen.take(OwnedRun(owner.id, execution_id))
    return found or RunHead(executions.get_snapshot(session, owner, execution_id), Extent.RUN)
