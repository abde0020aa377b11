"""Stopping runs: at once without a driver, through their driver otherwise."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import Conflict, NotFound
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.services.credits import ledger
from models.services.executions import executions
from models.services.orchestration import leases
from models.tables import Execution, NodeExecution, User
from tests.support import factories

S = ExecutionStatus


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session, credits=10)


def waiting(session: Session, owner: User, charged: str = "0", **columns: object) -> Execution:
    """A waiting run without a driver."""
    workflow = factories.workflow(session, owner)
    run = factories.execution(
        session, workflow, status=S.WAITING, cap="3.00", credits_charged=Decimal(charged), epoch=4, **columns
    )
    factories.ran(session, run, "start", credits=Decimal(charged))
    factories.ran(session, run, "end", status=NodeStatus.WAITING)
    return run


class TestARunWithoutADriver:
    @pytest.mark.parametrize("status", [S.QUEUED, S.WAITING])
    def test_is_cancelled_at_once_and_its_hold_released(
        self, session: Session, owner: User, status: ExecutionStatus
    ) -> None:
        run = factories.execution(session, factories.workflow(session, owner), status=status)
        cancelled = executions.request_cancel(session, owner, run.id)
        assert cancelled.status is S.CANCELLED
        assert cancelled.finished_at is not None
        assert cancelled.cancel_requested_at is not None
        assert ledger.balance(session, owner.id).available == 10
        assert ledger.violations(session) == []

    def test_records_so_in_its_log(self, session: Session, owner: User) -> None:
        run = executions.request_cancel(session, owner, waiting(session, owner).id)
        last = executions.logs(session, owner, run.id)[-1]
        assert (last.seq, last.type) == (2, "execution.cancelled") == (run.last_seq, last.type)

    def test_pays_for_what_was_done_the_run_included(self, session: Session, owner: User) -> None:
        run = executions.request_cancel(session, owner, waiting(session, owner, charged="1.10").id)
        assert run.credits_charged == Decimal("1.10")
        assert ledger.balance(session, owner.id).balance == Decimal("8.90")
        assert ledger.violations(session) == []

    @pytest.mark.parametrize("status", [NodeStatus.RUNNING, NodeStatus.WAITING, NodeStatus.PENDING])
    def test_pays_for_what_was_sent_and_given_up(self, session: Session, owner: User, status: NodeStatus) -> None:
        run = waiting(session, owner, charged="1.10")
        factories.ran(session, run, "sent", status=status, credits_due=Decimal("1.10"))
        run = executions.request_cancel(session, owner, run.id)
        assert run.credits_charged == Decimal("2.20")
        rows = session.execute(select(NodeExecution.credits, NodeExecution.credits_due).filter_by(node_id="sent"))
        assert rows.all() == [(Decimal("1.10"), 0)]
        assert ledger.balance(session, owner.id).balance == Decimal("7.80")
        assert ledger.violations(session) == []

    def test_has_no_open_nodes_left(self, session: Session, owner: User) -> None:
        run = waiting(session, owner)
        executions.request_cancel(session, owner, run.id)
        states = {state.node_id: state.status for state in executions.node_states(session, run)}
        assert states == {"start": NodeStatus.SUCCESS, "end": NodeStatus.CANCELLED}

    def test_is_out_of_reach_for_its_former_driver(self, session: Session, owner: User) -> None:
        run = waiting(session, owner, wake_at=func.now(), waiting_for={"type": "timer"})
        run = executions.request_cancel(session, owner, run.id)
        assert (run.epoch, run.wake_at, run.waiting_for) == (5, None, None)
        assert leases.claim(session, run.id, owner="a worker", seconds=30) is None


class TestARunThatSomebodyDrives:
    @pytest.fixture
    def run(self, session: Session, owner: User) -> Execution:
        run = factories.execution(session, factories.workflow(session, owner))
        assert leases.claim(session, run.id, owner="a worker", seconds=30)
        return run

    def test_is_cancelling_until_its_driver_ends_it(self, session: Session, owner: User, run: Execution) -> None:
        asked = executions.request_cancel(session, owner, run.id)
        assert (asked.status, asked.finished_at) == (S.CANCELLING, None)
        assert leases.renew(session, [(run.id, 1)], seconds=30) == {
            run.id: leases.LeaseSignals(cancelled=True, woken=False)
        }
        assert ledger.balance(session, owner.id).held == run.credits_cap

    def test_gets_no_event_because_its_driver_counts_them(self, session: Session, owner: User, run: Execution) -> None:
        executions.request_cancel(session, owner, run.id)
        assert [event.seq for event in executions.logs(session, owner, run.id)] == [1]

    def test_is_asked_once_however_often_one_asks(self, session: Session, owner: User, run: Execution) -> None:
        first = executions.request_cancel(session, owner, run.id).cancel_requested_at
        assert executions.request_cancel(session, owner, run.id).cancel_requested_at == first


class TestARunThatIsOver:
    @pytest.mark.parametrize("status", [S.SUCCESS, S.FAILED])
    def test_stays_as_it_ended(self, session: Session, owner: User, status: ExecutionStatus) -> None:
        run = factories.execution(session, factories.workflow(session, owner), status=status)
        with pytest.raises(Conflict) as refusal:
            executions.request_cancel(session, owner, run.id)
        assert refusal.value.code == "already_finished"

    def test_may_be_cancelled_again_when_it_was_cancelled(self, session: Session, owner: User) -> None:
        run = waiting(session, owner, charged="1.10")
        first = executions.request_cancel(session, owner, run.id)
        charged, finished_at = first.credits_charged, first.finished_at
        again = executions.request_cancel(session, owner, run.id)
        assert (again.status, again.credits_charged, again.finished_at) == (S.CANCELLED, charged, finished_at)


@pytest.mark.usefixtures("committed_database")
def test_another_user_is_refused_without_waiting_for_a_lock() -> None:
    with session_scope() as session:
        run = factories.execution(session)
        mine, stranger = session.get_one(User, run.user_id), factories.user(session)
    with session_scope() as others, session_scope() as session:
        session.execute(text("SET LOCAL lock_timeout = '1s'"))
        executions.get_locked(others, mine, run.id)
        with pytest.raises(NotFound):
            executions.request_cancel(session, stranger, run.id)
    with session_scope() as others, session_scope() as session:
        session.execute(text("SET LOCAL lock_timeout = '1s'"))
        with pytest.raises(NotFound):
            executions.request_cancel(others, stranger, run.id)
        assert executions.get_locked(session, mine, run.id).status is S.QUEUED


@pytest.mark.usefixtures("committed_database")
def test_a_claim_and_a_cancel_at_once_leave_one_of_two_stories() -> None:
    with session_scope() as session:
        owner = factories.user(session, credits=100)
        workflow = factories.workflow(session, owner)
        runs = [factories.execution(session, workflow) for _ in range(24)]
    start = Barrier(2)

    def claim() -> list[bool]:
        start.wait(10)
        return [_claimed(run) for run in runs]

    def cancel() -> list[ExecutionStatus]:
        start.wait(10)
        return [_cancelled(owner, run) for run in runs]

    with ThreadPoolExecutor(2) as pool:
        claims, cancels = pool.submit(claim), pool.submit(cancel)
    for claimed, status in zip(claims.result(), cancels.result(), strict=True):
        assert status is (S.CANCELLING if claimed else S.CANCELLED)
    with session_scope() as session:
        kept = session.execute(
            text("SELECT count(*) FROM workflow_executions WHERE status = 'cancelling'")
        ).scalar_one()
        assert kept == sum(claims.result())
        assert ledger.violations(session) == []


def _claimed(run: Execution) -> bool:
    with session_scope() as session:
        return leases.claim(session, run.id, owner="a worker", seconds=30) is not None


def _cancelled(owner: User, run: Execution) -> ExecutionStatus:
    with session_scope() as session:
        return executions.request_cancel(session, owner, run.id).status


def test_a_cancelled_wait_shows_when_it_ended(session: Session, owner: User) -> None:
    run = waiting(session, owner)
    executions.request_cancel(session, owner, run.id)
    row = session.get_one(NodeExecution, (run.id, "end", ""), populate_existing=True)
    assert row.finished_at is not None
