"""How many runs of one owner are queued or waiting at a time is bounded by the tier."""

import dataclasses
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import InsufficientCredits, Quota
from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import PLANS, Tier
from models.services.credits import ledger
from models.services.executions import executions, retries
from models.services.orchestration.submission import PendingRunLimitReached
from models.tables import User
from tests.support import factories
from tests.support.database.concurrency import at_once


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """A free tier that allows three."""
    free = PLANS[Tier.FREE]
    limits = dataclasses.replace(free.limits, max_pending_runs=3)
    monkeypatch.setitem(PLANS, Tier.FREE, dataclasses.replace(free, limits=limits))


def test_the_tiers_allow_a_thousand_ten_thousand_and_a_hundred_thousand() -> None:
    assert [plan.limits.max_pending_runs for plan in PLANS.values()] == [1_000, 10_000, 100_000]


@pytest.mark.usefixtures("three")
class TestBound:
    @pytest.mark.parametrize("status", [ExecutionStatus.QUEUED, ExecutionStatus.WAITING])
    def test_refuses_a_run_past_it_and_leaves_nothing_of_it(self, session: Session, status: ExecutionStatus) -> None:
        user = factories.user(session)
        workflow = factories.workflow(session, user)
        for _ in range(3):
            factories.execution(session, workflow, status=status)
        before = ledger.available(session, user.id)
        with pytest.raises(PendingRunLimitReached, match=r"allows 3 runs .* and you have 3") as refused:
            executions.submit(session, user, workflow.id)
        assert refused.value.quota == Quota(3, 3)
        assert ledger.available(session, user.id) == before

    def test_does_not_count_runs_that_are_driven_or_over_or_somebody_elses(self, session: Session) -> None:
        user = factories.user(session)
        workflow = factories.workflow(session, user)
        for status in (ExecutionStatus.RUNNING, ExecutionStatus.CANCELLING, ExecutionStatus.SUCCESS):
            factories.execution(session, workflow, status=status)
        for _ in range(3):
            factories.execution(session)
        for _ in range(3):
            assert executions.submit(session, user, workflow.id)

    def test_refuses_a_retry_too(self, session: Session) -> None:
        user = factories.user(session)
        workflow = factories.workflow(session, user)
        failed = factories.execution(session, workflow, status=ExecutionStatus.FAILED)
        for _ in range(3):
            factories.execution(session, workflow)
        with pytest.raises(PendingRunLimitReached):
            retries.retry(session, user, failed.id)

    def test_follows_the_tier_as_it_is_now(self, session: Session) -> None:
        user = factories.user(session)
        workflow = factories.workflow(session, user)
        for _ in range(3):
            factories.execution(session, workflow)
        user.subscription_tier = Tier.PREMIUM
        session.flush()
        assert executions.submit(session, user, workflow.id)

    def test_does_not_hide_that_credits_are_short(self, session: Session) -> None:
        user = factories.user(session, credits=1)
        workflow = factories.workflow(session, user)
        with pytest.raises(InsufficientCredits):
            executions.submit(session, user, workflow.id)

    @pytest.mark.usefixtures("committed_database")
    def test_is_passed_by_no_more_than_submit_at_once(self) -> None:
        with session_scope() as session:
            user = factories.user(session, credits=1000)
            workflow_id = factories.workflow(session, user).id

        def submit(_: int) -> UUID | None:
            try:
                with session_scope() as session:
                    return executions.submit(session, session.get_one(User, user.id), workflow_id).id
            except PendingRunLimitReached:
                return None

        at_once(40, submit)
        with session_scope() as session:
            kept = session.scalar(text("SELECT count(*) FROM workflow_executions WHERE user_id = :u"), {"u": user.id})
            held = session.scalar(text("SELECT held FROM credits WHERE user_id = :u"), {"u": user.id})
        assert 3 <= kept <= 3 + 16  # as many as have a connection
        assert held == kept * Decimal("1.20")
