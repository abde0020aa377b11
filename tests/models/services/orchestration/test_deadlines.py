"""Runs end in time: the sweep ends those without a driver, queued ones included."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.db import session_scope
from models.rules.executions.deadlines import DAY, RunTimeLimits
from models.rules.executions.states import CrashState, ExecutionStatus, NodeStatus
from models.services.credits import api_calls, ledger
from models.services.executions import executions, retries
from models.services.orchestration import deadlines, leases
from models.tables import Execution, Notification, User
from tests.support import factories

S = ExecutionStatus
PAST = func.now() - timedelta(seconds=1)
FUTURE = func.now() + timedelta(hours=1)


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session, credits=10)


def run(session: Session, owner: User, **columns: Any) -> Execution:
    return factories.execution(session, factories.workflow(session, owner), cap="3.00", **columns)


def end_overdue(session: Session) -> list[UUID]:
    """Run the deadline sweep, in one transaction."""
    return [late for late in deadlines.late(session) if deadlines.end(session, late)]


def after(session: Session, execution: Execution) -> Execution:
    return session.get_one(Execution, execution.id, populate_existing=True)


class TestHowLongARunMayTake:
    LIMITS = RunTimeLimits(timeout=1000, max_timeout=5000, queue=100)

    def submitted(self, session: Session, owner: User, workflow: dict[str, int] | None = None, **requested: int) -> Any:
        of = factories.workflow(session, owner, **(workflow or {}))
        execution = executions.submit(session, owner, of.id, limits=self.LIMITS, **requested)
        deadline, start_by = execution.deadline_at, execution.start_by
        assert deadline
        assert start_by
        return [(moment - execution.created_at).total_seconds() for moment in (deadline, start_by)]

    def test_is_the_deployments_default_unless_it_is_set(self, session: Session, owner: User) -> None:
        assert self.submitted(session, owner) == [1000, 100]

    def test_a_workflow_says_it_for_its_runs(self, session: Session, owner: User) -> None:
        assert self.submitted(session, owner, {"timeout": 60, "max_queue_seconds": 30}) == [60, 30]

    def test_a_run_says_it_for_itself(self, session: Session, owner: User) -> None:
        requested = {"timeout": 40, "max_queue_seconds": 20}
        assert self.submitted(session, owner, {"timeout": 60, "max_queue_seconds": 30}, **requested) == [40, 20]

    def test_is_limited_by_the_deployment(self, session: Session, owner: User) -> None:
        assert self.submitted(session, owner, timeout=6000, max_queue_seconds=6000) == [5000, 5000]

    def test_a_retry_has_as_much_time_as_the_run_before_it(self, session: Session, owner: User) -> None:
        deadline = datetime.now(UTC) + timedelta(hours=1)
        old = run(session, owner, status=S.FAILED, created_at=deadline - timedelta(hours=5), deadline_at=deadline)
        new = retries.retry(session, owner, old.id, limits=self.LIMITS).execution
        assert new.deadline_at
        assert new.deadline_at - new.created_at == timedelta(hours=5)

    def test_by_default_outlives_the_longest_wait(self) -> None:
        assert RunTimeLimits().timeout > 90 * DAY


class TestARunWithoutADriver:
    @pytest.mark.parametrize("status", [NodeStatus.RUNNING, NodeStatus.SUCCESS])
    def test_keeps_the_calls_of_the_month_whatever_became_of_them(
        self, session: Session, owner: User, status: NodeStatus
    ) -> None:
        late = run(session, owner, status=S.WAITING, deadline_at=PAST)
        factories.ran(session, late, "a", status=status)
        api_calls.reserve(session, owner.id, late.id, "a", "")
        end_overdue(session)
        assert api_calls.used(session, owner.id, owner.subscription_tier).used == 1

    @pytest.mark.parametrize("status", [S.QUEUED, S.WAITING])
    def test_ends_at_its_deadline(self, session: Session, owner: User, status: ExecutionStatus) -> None:
        late = run(session, owner, status=status, deadline_at=PAST, start_by=FUTURE, waiting_for={"type": "budget"})
        assert end_overdue(session) == [late.id]
        late = after(session, late)
        assert (late.status, late.error["code"], late.waiting_for) == (S.FAILED, "run_timed_out", None)
        assert ledger.balance(session, owner.id).available == 10
        assert ledger.violations(session) == []

    def test_keeps_what_it_finished_and_pays_for_it(self, session: Session, owner: User) -> None:
        late = run(session, owner, status=S.WAITING, deadline_at=PAST, credits_charged=Decimal("1.10"), epoch=3)
        factories.ran(session, late, "start", output="kept", credits=Decimal("1.10"))
        factories.ran(session, late, "end", status=NodeStatus.WAITING, credits_due=Decimal("1.00"))
        end_overdue(session)
        late = after(session, late)
        states = {state.node_id: (state.status, state.output) for state in executions.node_states(session, late)}
        assert states == {"start": ("success", "kept"), "end": ("cancelled", None)}
        assert (late.credits_charged, late.epoch) == (Decimal("2.10"), 4)
        assert ledger.balance(session, owner.id).balance == Decimal("7.90")
        assert ledger.violations(session) == []

    def test_records_so_in_its_log_and_notifies_its_owner(self, session: Session, owner: User) -> None:
        late = run(session, owner, deadline_at=PAST, created_at=func.now() - timedelta(hours=1))
        end_overdue(session)
        last = executions.logs(session, owner, late.id)[-1]
        assert (last.seq, last.type, last.level, last.data["code"]) == (2, "execution.failed", "error", "run_timed_out")
        assert session.scalars(select(Notification.kind).filter_by(user_id=owner.id)).all() == ["run_finished"]

    def test_ends_when_it_was_not_started_in_time(self, session: Session, owner: User) -> None:
        late = run(session, owner, deadline_at=FUTURE, start_by=PAST)
        end_overdue(session)
        error = after(session, late).error
        assert error["code"] == "queued_too_long"
        assert "no worker was free" in error["message"]
        assert ledger.balance(session, owner.id).held == 0

    def test_says_when_its_owners_other_runs_came_first(self, session: Session, owner: User) -> None:
        late = run(session, owner, start_by=PAST, deferred_at=PAST)
        end_overdue(session)
        assert "of your runs" in after(session, late).error["message"]

    def test_is_taken_by_no_worker_any_more(self, session: Session, owner: User) -> None:
        for columns in ({"start_by": PAST}, {"deadline_at": PAST}, {"deadline_at": PAST, "status": S.WAITING}):
            late = run(session, owner, wake_at=PAST, **columns)
            assert leases.claim(session, late.id, owner="a worker", seconds=30) is None

    @pytest.mark.parametrize(("seconds", "ends"), [(-61, True), (-5, False)])
    def test_whose_driver_vanished_is_left_to_another_worker_for_a_while(
        self, session: Session, owner: User, seconds: float, ends: bool
    ) -> None:
        late = run(session, owner, deadline_at=FUTURE)
        assert leases.claim(session, late.id, owner="doomed", seconds=seconds)
        late = after(session, late)
        late.deadline_at = PAST
        session.flush()
        assert (end_overdue(session) == [late.id]) is ends
        assert (leases.claim(session, late.id, owner="another", seconds=30) is None) is ends

    def test_that_left_a_turn_in_the_gateway_is_ended_by_a_worker(self, session: Session, owner: User) -> None:
        late = run(session, owner, deadline_at=PAST, epoch=1)
        factories.ran(session, late, "start", status=NodeStatus.RUNNING, external_ref={"key": "k", "sessionKey": "s"})
        end_overdue(session)
        after(session, late).lease_expires_at = PAST  # as it is in the next transaction
        session.flush()
        lease = leases.claim(session, late.id, owner="a worker", seconds=30)
        assert lease
        assert (lease.deaths, lease.crash_state, lease.cancelled) == (0, CrashState.CLEAR, False)
        assert lease.deadline
        assert lease.deadline < lease.claimed_at

    def test_ends_as_cancelled_if_that_was_asked_for(self, session: Session, owner: User) -> None:
        late = run(session, owner, status=S.CANCELLING, deadline_at=PAST, cancel_requested_at=PAST)
        end_overdue(session)
        assert after(session, late).status is S.CANCELLED


class TestOthers:
    def test_a_run_in_time_goes_on(self, session: Session, owner: User) -> None:
        run(session, owner, deadline_at=FUTURE, start_by=FUTURE)
        run(session, owner, status=S.WAITING)  # from before there were deadlines
        run(session, owner, status=S.SUCCESS, deadline_at=PAST)
        assert end_overdue(session) == []

    def test_one_that_was_started_in_time_may_take_its_time(self, session: Session, owner: User) -> None:
        mine = run(session, owner, deadline_at=FUTURE, start_by=FUTURE)
        assert leases.claim(session, mine.id, owner="a worker", seconds=30)
        assert after(session, mine).start_by is None

    def test_one_that_is_driven_is_left_to_its_driver_which_gets_an_event(self, session: Session, owner: User) -> None:
        mine = run(session, owner, deadline_at=FUTURE)
        assert leases.claim(session, mine.id, owner="a worker", seconds=30)
        mine = after(session, mine)
        mine.deadline_at = PAST
        session.flush()
        assert end_overdue(session) == []
        assert leases.check_leases(session, [(mine.id, 1)])[mine.id].overdue
        assert leases.renew(session, [(mine.id, 1)], seconds=30)[mine.id].overdue


@pytest.mark.usefixtures("committed_database")
def test_two_sweeps_at_once_end_each_run_once() -> None:
    with session_scope() as session:
        runs = [run(session, factories.user(session, credits=10), deadline_at=PAST).id for _ in range(2)]
    with session_scope() as one, session_scope() as other:
        assert sorted(deadlines.late(one)) == sorted(runs)
        assert deadlines.late(other) == []  # others look at them just now
    found = Barrier(2)

    def sweep() -> list[UUID]:
        with session_scope() as session:
            late = deadlines.late(session)
        found.wait(10)
        return [execution_id for execution_id in late if ended(execution_id)]

    def ended(execution_id: UUID) -> bool:
        with session_scope() as session:
            return deadlines.end(session, execution_id)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(sweep), pool.submit(sweep)
        assert sorted(one.result() + other.result()) == sorted(runs)


def test_only_the_claim_after_a_crash_says_that_it_took_a_run_over(session: Session, owner: User) -> None:
    taken = run(session, owner)

    def is_recovered(*, seconds: float) -> bool:
        lease = leases.claim(session, taken.id, owner="a worker", seconds=seconds)
        assert lease
        return lease.is_recovered

    assert [is_recovered(seconds=-1), is_recovered(seconds=-1), is_recovered(seconds=30)] == [False, True, True]
    session.execute(update(Execution).values(status=S.QUEUED, lease_owner=None, lease_expires_at=None))
    assert not is_recovered(seconds=30)
