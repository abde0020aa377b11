"""Every change of a run is announced once it is committed, so that waiting clients get it at once."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest

from models.changes import set_change_publisher
from models.rules.executions.states import ExecutionStatus
from models.services.executions import executions
from models.services.orchestration import journal, leases
from models.services.orchestration.journal import Ending, Progress
from models.tables import User
from tests.support import factories


@pytest.fixture
def told() -> Iterator[list[UUID]]:
    ids: list[UUID] = []
    before = set_change_publisher(ids.extend)
    yield ids
    set_change_publisher(before)


@pytest.fixture
def run(session, told):
    """A queued run with its hold, before any announcement."""
    owner = factories.user(session)
    found = executions.submit(session, owner, factories.workflow(session, owner).id)
    session.commit()
    told.clear()
    return found


def progress(lease: leases.Lease, ending: Ending | None = None) -> Progress:
    return Progress(lease.execution_id, lease.epoch, Decimal(0), succeeded=0, seq=2, percent=50, ending=ending)


class TestIsTold:
    def test_of_a_run_that_a_worker_takes_drives_and_ends(self, session, run, told):
        lease = leases.claim(session, run.id, owner="a worker", seconds=30)
        session.commit()
        assert told == [run.id]
        for ending in (None, Ending(ExecutionStatus.SUCCESS)):
            journal.record(session, [progress(lease, ending)])
            session.commit()
        assert told == [run.id] * 3

    def test_of_a_run_that_is_handed_over(self, session, run, told):
        leases.release(session, leases.claim(session, run.id, owner="a worker", seconds=30))
        session.commit()
        assert told == [run.id]

    def test_of_a_run_that_is_cancelled(self, session, run, told):
        executions.request_cancel(session, session.get_one(User, run.user_id), run.id)
        session.commit()
        assert told == [run.id]

    def test_of_nothing_that_a_driver_writes_whose_time_is_over(self, session, run, told):
        lease = leases.claim(session, run.id, owner="a worker", seconds=30)
        executions.request_cancel(session, session.get_one(User, run.user_id), run.id)
        session.commit()
        told.clear()
        stale = leases.Lease(**{**vars(lease), "epoch": lease.epoch - 1})
        assert journal.record(session, [progress(stale)]) == set()
        session.commit()
        assert told == []
