"""Many runs are read in few queries, each only by its owner, and shown as each would be alone."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.services.executions import executions, snapshots
from models.services.executions.snapshots import LogPosition, OwnedRun
from models.tables import ExecutionEvent, User
from tests.support import factories
from tests.support.database.statements import recorded_statements

NOW = datetime.now(UTC)


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session)


def asked(owner: User, run) -> OwnedRun:
    return OwnedRun(owner.id, run.id)


class TestSnapshots:
    def test_equal_those_of_single_runs(self, session, owner):
        workflow = factories.workflow(session, owner)
        parent, other = factories.execution(session, workflow), factories.execution(session, workflow)
        step = {"parent_node_id": "in", "parent_path": "", "parent_attempt": 1}
        factories.execution(session, workflow, parent_execution_id=parent.id, depth=1, **step)
        found = snapshots.get_many(session, [asked(owner, parent), asked(owner, other)])
        for run, has_children in ((parent, True), (other, False)):
            alone = executions.get_snapshot(session, owner, run.id)
            assert found[asked(owner, run)].run == alone.run
            assert found[asked(owner, run)].has_children is alone.has_children is has_children

    def test_leave_out_runs_of_others_expired_ones_and_unknown_ones(self, session, owner):
        foreign = factories.execution(session, factories.workflow(session, factories.user(session)))
        mine = factories.execution(session, factories.workflow(session, owner))
        expired = factories.execution(
            session, factories.workflow(session, owner), status=ExecutionStatus.SUCCESS, expired_at=NOW
        )
        wanted = [asked(owner, run) for run in (foreign, mine, expired)]
        found = snapshots.get_many(session, [*wanted, OwnedRun(owner.id, uuid4()), OwnedRun(foreign.user_id, mine.id)])
        assert set(found) == {asked(owner, mine)}

    def test_nobody_asks_nothing(self, session):
        with recorded_statements() as statements:
            assert not snapshots.get_many(session, [])
            assert not snapshots.events_after(session, [], limit=1)
        assert not statements


def test_events_are_those_after_each_position_in_order(session, owner):
    workflow = factories.workflow(session, owner)
    first, second = factories.execution(session, workflow), factories.execution(session, workflow)
    for run in (first, second):
        for seq in range(2, 6):
            session.add(ExecutionEvent(execution_id=run.id, seq=seq, type="node.success", message=f"{seq}"))
    session.flush()
    positions = [LogPosition(first.id, 0), LogPosition(first.id, 4), LogPosition(second.id, 2), LogPosition(uuid4(), 0)]
    found = snapshots.events_after(session, positions, limit=3)
    seqs = [[event.seq for event in found.get(position, ())] for position in positions]
    assert seqs == [[1, 2, 3], [5], [3, 4, 5], []]
    assert {event.execution_id for event in found[positions[2]]} == {second.id}


class TestTogether:
    def test_positions_in_queues_are_as_of_each_alone(self, session, owner):
        runs = []
        for user in (owner, factories.user(session)):
            workflow = factories.workflow(session, user)
            for age in (9, 7, 5):
                at = NOW - timedelta(seconds=age)
                runs.append(factories.execution(session, workflow, created_at=at, deferred_at=None))
                runs.append(factories.execution(session, workflow, created_at=at, deferred_at=at))
        together = executions.undriven_statuses(session, runs, NOW)
        assert together == {run.id: executions.undriven_status(session, run, NOW) for run in runs}
        assert sorted(one.queue_position for one in together.values() if one.queue_position) == [1, 2, 3, 4, 5, 6]

    def test_the_nodes_of_driven_runs_are_as_of_each_alone(self, session, owner):
        graph = factories.chain(factories.node("ask", "ai_agent", config={"prompt": "?"}))
        lease = {"lease_owner": "host:1", "lease_expires_at": NOW + timedelta(days=1)}
        running, cancelling, idle = (
            factories.execution(session, factories.workflow(session, owner, graph=graph), status=status, **lease)
            for status in (ExecutionStatus.RUNNING, ExecutionStatus.CANCELLING, ExecutionStatus.RUNNING)
        )
        for number, run in enumerate((running, cancelling), 1):
            factories.ran(session, run, "ask", status=NodeStatus.RUNNING, attempt=number, started_at=NOW)
        together = executions.driven_statuses(session, [running, cancelling, idle])
        assert together == {run.id: executions.wait_status(session, run) for run in (running, cancelling, idle)}
        assert [len(together[run.id].waiting_for["nodes"]) for run in (running, cancelling, idle)] == [1, 1, 0]

    def test_what_was_recorded_is_as_of_each_alone_without_runs_that_are_gone(self, session, owner):
        workflow = factories.workflow(session, owner)
        queued, driven, gone = (factories.execution(session, workflow, status=status) for status in TOGETHER)
        factories.ran(session, driven, "start", status=NodeStatus.SUCCESS, credits=1)
        session.delete(gone)
        session.flush()
        together = executions.recorded_many(session, [queued, driven, gone])
        assert together == {run.id: executions.recorded(session, run) for run in (queued, driven)}
        assert [len(together[run.id].top) for run in (queued, driven)] == [0, 1]


TOGETHER = (ExecutionStatus.QUEUED, ExecutionStatus.RUNNING, ExecutionStatus.RUNNING)
