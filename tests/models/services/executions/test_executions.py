"""Runs are accepted, listed and read."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.errors import InsufficientCredits, InvalidInput, NotFound
from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import PRICE_LIST, Priority, Tier
from models.services.credits import ledger
from models.services.executions import executions
from models.tables import Execution, ExecutionEvent, User
from tests.support import factories


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session, credits=10)


class TestSubmit:
    def test_queues_a_run_of_the_newest_version_with_its_worst_case_held(self, session: Session, owner: User) -> None:
        workflow = factories.workflow(session, owner, name="Analysis")
        newest = factories.version(session, workflow, worst_case="3.50")
        run = executions.submit(session, owner, workflow.id, input={"text": "hello"})
        assert (run.status, run.version_id, run.workflow_name) == (ExecutionStatus.QUEUED, newest.id, "Analysis")
        assert (run.input, run.nodes_total, run.price_list) == ({"text": "hello"}, 2, PRICE_LIST)
        assert (run.credits_cap, run.credits_charged, run.epoch) == (Decimal("3.50"), 0, 0)
        assert ledger.balance(session, owner.id).held == Decimal("3.50")

    def test_writes_its_first_event(self, session: Session, owner: User) -> None:
        run = executions.submit(session, owner, factories.workflow(session, owner, name="Analysis").id)
        (event,) = executions.logs(session, owner, run.id)
        assert (event.seq, event.type, event.message) == (1, "execution.queued", "Analysis is queued.")
        assert run.last_seq == 1

    @pytest.mark.parametrize(
        ("requested", "held"), [(None, "3.50"), ("9", "3.50"), ("3.50", "3.50"), ("1.25", "1.25"), ("1.10", "1.10")]
    )
    def test_holds_the_worst_case_or_what_the_caller_allows(
        self, session: Session, owner: User, requested: str | None, held: str
    ) -> None:
        workflow = factories.workflow(session, owner, worst_case="3.50")
        run = executions.submit(session, owner, workflow.id, max_credits=Decimal(requested) if requested else None)
        assert run.credits_cap == ledger.balance(session, owner.id).held == Decimal(held)
        assert ledger.violations(session) == []

    @pytest.mark.parametrize("requested", ["0", "1.09"])
    def test_refuses_what_does_not_cover_the_fee_and_the_first_node(
        self, session: Session, owner: User, requested: str
    ) -> None:
        workflow = factories.workflow(session, owner, worst_case="3.50")
        with pytest.raises(InvalidInput) as refusal:
            executions.submit(session, owner, workflow.id, max_credits=Decimal(requested))
        (error,) = refusal.value.errors
        assert (error.field, "1.10" in error.message) == ("maxCredits", True)

    @pytest.mark.parametrize("requested", ["-0.01", "0.001", "NaN", "Infinity", "1000000000000"])
    def test_refuses_what_is_no_amount_of_credits(self, session: Session, owner: User, requested: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            executions.submit(session, owner, factories.workflow(session, owner).id, max_credits=Decimal(requested))
        assert [error.field for error in refusal.value.errors] == ["maxCredits"]

    def test_refuses_what_the_owner_cannot_pay(self, session: Session, owner: User) -> None:
        workflow = factories.workflow(session, owner, worst_case="10.01")
        with pytest.raises(InsufficientCredits) as refusal, session.begin_nested():
            executions.submit(session, owner, workflow.id)
        assert (refusal.value.needed, refusal.value.available) == (Decimal("10.01"), 10)
        assert session.scalar(select(func.count()).select_from(Execution)) == 0
        assert session.scalar(select(func.count()).select_from(ExecutionEvent)) == 0

    def test_refuses_a_graph_with_errors_and_names_them(self, session: Session, owner: User) -> None:
        errors = [{"field": "nodes.0.config.url", "message": "An API call needs a url."}]
        workflow = factories.workflow(session, owner, lint_errors=errors)
        with pytest.raises(InvalidInput) as refusal:
            executions.submit(session, owner, workflow.id)
        assert refusal.value.code == "invalid_graph"
        assert [error.field for error in refusal.value.errors] == ["nodes.0.config.url"]

    def test_knows_no_workflow_of_others_and_no_deleted_one(self, session: Session, owner: User) -> None:
        gone = factories.workflow(session, owner, deleted_at=func.now())
        for workflow in (factories.workflow(session), gone):
            with pytest.raises(NotFound):
                executions.submit(session, owner, workflow.id)

    @pytest.mark.parametrize(
        ("tier", "requested", "priority"),
        [
            (Tier.FREE, None, "low"),
            (Tier.FREE, "high", "low"),
            (Tier.PREMIUM, None, "normal"),
            (Tier.PREMIUM, "low", "low"),
            (Tier.ENTERPRISE, None, "high"),
            (Tier.ENTERPRISE, "normal", "normal"),
        ],
    )
    def test_queues_by_tier_and_lower_if_asked(
        self, session: Session, tier: Tier, requested: str | None, priority: str
    ) -> None:
        workflow = factories.workflow(session, user := factories.user(session, tier=tier))
        run = executions.submit(session, user, workflow.id, priority=Priority(requested) if requested else None)
        assert run.priority == priority

    @pytest.mark.parametrize("value", [None, False, 0, "", [], {}, "text", 1.5, {"deep": [{"er": None}]}])
    def test_keeps_any_input(self, session: Session, owner: User, value: Any) -> None:
        run = executions.submit(session, owner, factories.workflow(session, owner).id, input=value)
        session.expire_all()
        assert executions.get(session, owner, run.id).input == value


class TestLists:
    def test_show_the_newest_first_and_go_on_after_a_row(self, session: Session, owner: User) -> None:
        workflow = factories.workflow(session, owner)
        all_of_them = [factories.execution(session, workflow, cap=0).id for _ in range(7)]
        seen: list[Execution] = []
        while page := executions.list_owned(
            session, owner, limit=3, after=(seen[-1].created_at, seen[-1].id) if seen else None
        ):
            seen.extend(page)
        assert [run.id for run in seen] == sorted(all_of_them, reverse=True)  # one transaction: one created_at
        assert [run.id for run in executions.list_owned(session, owner, limit=2, offset=5)] == [
            run.id for run in seen[5:]
        ]

    def test_are_filtered_by_workflow_status_and_ids(self, session: Session, owner: User) -> None:
        first, second = factories.workflow(session, owner), factories.workflow(session, owner)
        queued = factories.execution(session, first)
        failed = factories.execution(session, first, status=ExecutionStatus.FAILED)
        other = factories.execution(session, second)

        def ids(**filters: Any) -> set[Any]:
            return {run.id for run in executions.list_owned(session, owner, **filters)}

        assert ids(workflow_id=first.id) == {queued.id, failed.id}
        assert ids(status=ExecutionStatus.QUEUED) == {queued.id, other.id}
        assert ids(workflow_id=first.id, status=ExecutionStatus.FAILED) == {failed.id}
        assert ids(ids=[failed.id, other.id, uuid4()]) == {failed.id, other.id}
        assert ids(ids=[]) == set()

    def test_leave_out_runs_of_other_users(self, session: Session, owner: User) -> None:
        stranger = factories.execution(session)
        assert executions.list_owned(session, owner, ids=[stranger.id]) == []
        with pytest.raises(NotFound):
            executions.list_owned(session, owner, workflow_id=stranger.workflow_id)


class TestOneRun:
    def test_of_another_user_does_not_exist(self, session: Session, owner: User) -> None:
        stranger = factories.execution(session)
        for ask in (executions.get, executions.logs, executions.request_cancel):
            with pytest.raises(NotFound):
                ask(session, owner, stranger.id)

    def test_lists_its_events_after_the_last_one_seen(self, session: Session, owner: User) -> None:
        run = factories.execution(session, factories.workflow(session, owner))
        for seq in (2, 3, 4):
            session.add(ExecutionEvent(execution_id=run.id, seq=seq, type="node.started", message=f"Line {seq}"))
        session.flush()
        assert [event.seq for event in executions.logs(session, owner, run.id, after=1, limit=2)] == [2, 3]
        assert [event.seq for event in executions.logs(session, owner, run.id, after=3)] == [4]

    def test_outlives_its_workflow(self, session: Session, owner: User) -> None:
        run = factories.execution(session, factories.workflow(session, owner, deleted_at=func.now()))
        assert executions.get(session, owner, run.id).id == run.id
        assert [row.id for row in executions.list_owned(session, owner)] == [run.id]
