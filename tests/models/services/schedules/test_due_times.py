"""A time of a schedule starts one run, or it is recorded why it started none."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.db import session_scope
from models.rules.executions.deadlines import RunTimeLimits
from models.rules.prices.pricing import Tier
from models.services.accounts import account_access, deletions
from models.services.credits import ledger
from models.services.executions import executions, retention
from models.services.orchestration.submission import ScheduledTime
from models.services.schedules import due_times, schedules
from models.services.schedules.due_times import MAX_REFUSALS, Result
from models.services.workflows import undeletion, workflows
from models.tables import AuditEntry, Execution, Notification, User, Workflow, WorkflowSchedule
from models.vault import Vault
from settings import DEVELOPMENT_KEY
from tests.support import factories
from tests.support.database.concurrency import at_once

NOW = datetime.now(UTC).replace(microsecond=0)
AN_HOUR_AGO = NOW - timedelta(hours=1)


def scheduled(session: Session, of: Workflow, *, due_at: datetime | None = AN_HOUR_AGO, **values: Any) -> UUID:
    """A schedule of every quarter of an hour that is due."""
    owner = session.get_one(User, of.user_id)
    row = schedules.create(session, owner, of.id, **{"cron": "*/15 * * * *", "time_zone": "UTC"} | values)
    row.next_run_at = due_at or row.next_run_at
    session.flush()
    return row.id


def again(session: Session, schedule_id: UUID) -> WorkflowSchedule:
    """The schedule, due again."""
    row = session.get_one(WorkflowSchedule, schedule_id, populate_existing=True)
    row.next_run_at = AN_HOUR_AGO
    session.flush()
    return row


def runs(session: Session) -> list[Execution]:
    return list(session.scalars(select(Execution).order_by(Execution.created_at)))


def stored(session: Session, schedule_id: UUID) -> WorkflowSchedule:
    return session.get_one(WorkflowSchedule, schedule_id, populate_existing=True)


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session, credits=10)


@pytest.fixture
def workflow(session: Session, owner: User) -> Workflow:
    return factories.workflow(session, owner, name="Report")


class TestATimeThatHasCome:
    def test_starts_a_run_that_names_the_schedule(self, session: Session, workflow: Workflow) -> None:
        schedule_id = scheduled(session, workflow, input={"city": "Oslo"}, max_credits=Decimal("1.10"))
        handled = due_times.handle(session, schedule_id, limits=RunTimeLimits(timeout=60))
        (run,) = runs(session)
        assert handled is not None
        assert (handled.result, handled.execution) == (Result.STARTED, run)
        assert (run.schedule_id, run.scheduled_for, run.tags) == (schedule_id, AN_HOUR_AGO, ["schedule"])
        assert (run.input, run.credits_cap, run.workflow_id) == ({"city": "Oslo"}, Decimal("1.10"), workflow.id)
        assert run.deadline_at is not None
        assert run.deadline_at < datetime.now(UTC) + timedelta(seconds=61)

    def test_is_noted_and_followed_by_the_next_time_from_now(self, session: Session, workflow: Workflow) -> None:
        schedule_id = scheduled(session, workflow)
        due_times.handle(session, schedule_id)
        row = stored(session, schedule_id)
        assert (row.last_run_at, row.last_execution_id) == (AN_HOUR_AGO, runs(session)[0].id)
        assert row.next_run_at is not None
        assert timedelta() < row.next_run_at - datetime.now(UTC) <= timedelta(minutes=15)

    def test_starts_one_run_for_all_times_that_were_missed(self, session: Session, workflow: Workflow) -> None:
        schedule_id = scheduled(session, workflow, due_at=NOW - timedelta(days=3))
        assert due_times.handle(session, schedule_id) is not None
        assert due_times.handle(session, schedule_id) is None
        assert len(runs(session)) == 1

    def test_is_listed_oldest_first_and_page_by_page(self, session: Session, workflow: Workflow) -> None:
        ids = [scheduled(session, workflow, due_at=NOW - timedelta(hours=hours)) for hours in (1, 3, 2)]
        first = due_times.due(session, limit=2)
        assert [schedule_id for _, schedule_id in first] == [ids[1], ids[2]]
        assert [schedule_id for _, schedule_id in due_times.due(session, limit=2, after=first[-1])] == [ids[0]]

    def test_is_not_there_before_it_comes_nor_while_it_is_off(self, session: Session, workflow: Workflow) -> None:
        early = scheduled(session, workflow, due_at=None)
        off = scheduled(session, workflow, due_at=None, enabled=False)
        assert due_times.due(session, limit=10) == []
        assert [due_times.handle(session, schedule_id) for schedule_id in (early, off)] == [None, None]

    def test_makes_the_age_of_the_oldest_grow(self, session: Session, workflow: Workflow) -> None:
        assert due_times.oldest_overdue_seconds(session) == 0
        schedule_id = scheduled(session, workflow)
        assert due_times.oldest_overdue_seconds(session) >= 3599
        due_times.handle(session, schedule_id)
        assert due_times.oldest_overdue_seconds(session) == 0


class TestATimeThatIsRefused:
    def test_is_recorded_with_the_reason_until_a_run_starts(self, session: Session) -> None:
        poor = factories.user(session, credits=0)
        schedule_id = scheduled(session, factories.workflow(session, poor))
        handled = due_times.handle(session, schedule_id)
        row = stored(session, schedule_id)
        assert handled is not None
        assert handled.result is Result.REFUSED
        assert (row.last_error["code"], row.last_error["at"]) == ("insufficient_credits", AN_HOUR_AGO.isoformat())
        assert (row.refusals, row.enabled, runs(session)) == (1, True, [])
        ledger.grant(session, poor.id, Decimal(10), key="more", reason="For a test", source="test")
        again(session, schedule_id)
        due_times.handle(session, schedule_id)
        row = stored(session, schedule_id)
        assert (row.refusals, row.last_error, len(runs(session))) == (0, None, 1)

    def test_names_what_keeps_the_graph_from_running(self, session: Session, owner: User) -> None:
        errors = [{"field": "nodes.0.config.url", "message": "An API call needs a url."}]
        schedule_id = scheduled(session, factories.workflow(session, owner, lint_errors=errors))
        due_times.handle(session, schedule_id)
        assert stored(session, schedule_id).last_error["message"] == "An API call needs a url."

    def test_may_be_so_because_the_tier_is_lower_by_now(self, session: Session) -> None:
        rich = factories.user(session, tier=Tier.ENTERPRISE)
        schedule_id = scheduled(session, factories.workflow(session, rich), cron="* * * * *")
        rich.subscription_tier = Tier.FREE
        session.flush()
        due_times.handle(session, schedule_id)
        assert "15 minutes" in stored(session, schedule_id).last_error["message"]

    def test_switches_the_schedule_off_after_many_in_a_row_and_says_so(self, session: Session) -> None:
        poor = factories.user(session, credits=0)
        schedule_id = scheduled(session, factories.workflow(session, poor, name="Report"), name="Morning")
        for _ in range(MAX_REFUSALS - 1):
            due_times.handle(session, schedule_id)
            again(session, schedule_id)
        handled = due_times.handle(session, schedule_id)
        row = stored(session, schedule_id)
        assert handled is not None
        assert (handled.result, row.enabled, row.next_run_at) == (Result.SWITCHED_OFF, False, None)
        sent = session.get_one(Notification, handled.notifications[0])
        assert (sent.kind, sent.payload["workflowName"], sent.payload["name"]) == (
            *("schedule_stopped", "Report", "Morning"),
        )
        assert session.scalars(select(AuditEntry.action)).all() == ["schedule.switched_off"]

    @pytest.mark.parametrize(("column", "value"), [("time_zone", "Mars/Olympus"), ("cron", "61 * * * *")])
    def test_without_a_next_one_switches_the_schedule_off_at_once(
        self, session: Session, workflow: Workflow, column: str, value: str
    ) -> None:
        """A host may know time zones that another one does not know."""
        schedule_id = scheduled(session, workflow)
        setattr(session.get_one(WorkflowSchedule, schedule_id), column, value)
        session.flush()
        handled = due_times.handle(session, schedule_id)
        row = stored(session, schedule_id)
        assert handled is not None
        assert (handled.result, row.enabled, len(handled.notifications)) == (Result.SWITCHED_OFF, False, 1)
        assert row.last_error["message"].startswith("Must be")

    def test_counts_from_none_again_once_it_is_switched_on(self, session: Session) -> None:
        poor = factories.user(session, credits=0)
        of = factories.workflow(session, poor)
        schedule_id = scheduled(session, of)
        due_times.handle(session, schedule_id)
        schedules.update(session, poor, of.id, schedule_id, enabled=False)
        assert schedules.update(session, poor, of.id, schedule_id, enabled=True).refusals == 0


class TestStops:
    def test_a_locked_account_starts_nothing_until_it_is_unlocked(
        self, session: Session, owner: User, workflow: Workflow
    ) -> None:
        schedule_id = scheduled(session, workflow)
        account_access.lock(session, owner.id)
        handled = due_times.handle(session, schedule_id)
        row = stored(session, schedule_id)
        assert handled is not None
        assert (handled.result, row.last_error["code"], row.refusals) == (Result.SKIPPED, "account_locked", 0)
        account_access.unlock(session, owner.id)
        again(session, schedule_id)
        due_times.handle(session, schedule_id)
        assert len(runs(session)) == 1

    def test_a_deleted_workflow_starts_nothing_unless_that_is_undone(
        self, session: Session, owner: User, workflow: Workflow
    ) -> None:
        schedule_id = scheduled(session, workflow)
        workflows.delete(session, owner, workflow.id)
        handled = due_times.handle(session, schedule_id)
        assert handled is not None
        assert (handled.result, runs(session)) == (Result.SKIPPED, [])
        undeletion.undelete(session, owner, workflow.id)
        again(session, schedule_id)
        due_times.handle(session, schedule_id)
        assert len(runs(session)) == 1

    def test_schedules_go_with_the_history_of_a_deleted_workflow(
        self, session: Session, owner: User, workflow: Workflow
    ) -> None:
        scheduled(session, workflow)
        workflows.delete(session, owner, workflow.id)
        retention.hasten(session)
        assert session.scalar(select(func.count()).select_from(WorkflowSchedule)) == 1  # it can still be undone
        account_access.delete_workflows(session, owner.id)
        workflow.deleted_at = NOW - timedelta(hours=1)
        session.flush()
        retention.hasten(session)
        assert session.scalar(select(func.count()).select_from(WorkflowSchedule)) == 0

    def test_schedules_go_with_their_owner(self, session: Session, owner: User, workflow: Workflow) -> None:
        scheduled(session, workflow)
        deletions.delete_account(session, owner, vault=Vault(DEVELOPMENT_KEY))
        assert session.scalar(select(func.count()).select_from(WorkflowSchedule)) == 0


@pytest.mark.usefixtures("committed_database")
class TestManyAtOnce:
    @pytest.fixture
    def due(self) -> list[UUID]:
        with session_scope() as session:
            rich = factories.user(session, credits=1000, tier=Tier.ENTERPRISE)
            of = factories.workflow(session, rich)
            return [scheduled(session, of) for _ in range(5)]

    def sweep(self, _: int = 0) -> int:
        """Handle what is due, and return how many runs that started."""
        with session_scope() as session:
            found = due_times.due(session, limit=100)
        started = 0
        for _, schedule_id in found:
            with session_scope() as session:
                started += due_times.handle(session, schedule_id) is not None
        return started

    def test_sweeps_start_each_time_once(self, due: list[UUID]) -> None:
        assert sum(at_once(8, self.sweep)) == len(due)
        with session_scope() as session:
            assert {run.schedule_id for run in runs(session)} == set(due)
            assert len(runs(session)) == len(due)

    def test_a_sweep_that_dies_before_its_commit_leaves_the_time_due(self, due: list[UUID]) -> None:
        with session_scope() as session:
            due_times.handle(session, due[0])
            session.rollback()
        assert self.sweep() == len(due)

    def test_another_run_for_the_same_time_is_refused_by_the_database(self, due: list[UUID]) -> None:
        self.sweep()
        with session_scope() as session:
            run = runs(session)[0]
            owner = session.get_one(User, run.user_id)
            assert run.schedule_id is not None
            assert run.scheduled_for is not None
            time = ScheduledTime(run.schedule_id, run.scheduled_for)
            with pytest.raises(IntegrityError, match="uq_workflow_executions_scheduled"), session.begin_nested():
                executions.submit(session, owner, run.workflow_id, scheduled=time)

    def test_one_that_is_handled_is_pruned_the_next_time(self, due: list[UUID]) -> None:
        with session_scope() as session:
            of = session.get_one(WorkflowSchedule, due[0]).workflow_id
            session.get_one(Workflow, of).deleted_at = NOW - timedelta(hours=1)
        with session_scope() as handling:
            handling.execute(select(WorkflowSchedule).where(WorkflowSchedule.id == due[0]).with_for_update())
            with session_scope() as session:
                retention.hasten(session)
        with session_scope() as session:
            assert [row.id for row in session.scalars(select(WorkflowSchedule))] == [due[0]]
            retention.hasten(session)
            assert session.scalar(select(func.count()).select_from(WorkflowSchedule)) == 0
            assert session.get_one(Workflow, of).history_removed_at is not None

    @pytest.mark.parametrize("act", ["delete", "pause"])
    def test_its_owner_may_stop_it_meanwhile(self, due: list[UUID], act: str) -> None:
        def stop(number: int) -> object:
            if number:
                return self.sweep()
            with session_scope() as session:
                row = session.get_one(WorkflowSchedule, due[0])
                owner = session.get_one(User, row.user_id)
                if act == "pause":
                    return schedules.update(session, owner, row.workflow_id, row.id, enabled=False)
                return schedules.delete(session, owner, row.workflow_id, row.id)

        at_once(4, stop)
        with session_scope() as session:
            assert len({(run.schedule_id, run.scheduled_for) for run in runs(session)}) == len(runs(session)) >= 4
