"""One statement inserts a run that is ready, and nothing of any other."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, inspect, select, text, update
from sqlalchemy.orm import Session

from models.rules.executions.deadlines import RunTimeLimits
from models.rules.prices.pricing import PLANS, Priority, Tier
from models.services.credits import ledger, storage
from models.services.executions import executions
from models.services.orchestration import submission
from models.services.orchestration.submission import RunRequest
from models.tables import Execution, ExecutionEvent, User, Workflow, WorkflowVersion
from tests.support import factories

Change = Callable[[Session, Workflow], object]
OWN = {"id", "created_at", "updated_at", "deadline_at", "start_by"}  # of a run alone


@pytest.fixture(params=[Tier.FREE, Tier.PREMIUM, Tier.ENTERPRISE])
def owner(session: Session, request: pytest.FixtureRequest) -> User:
    """A user whose stored bytes are known."""
    user = factories.user(session, tier=request.param)
    storage.measure(session, user.id)
    return user


@pytest.fixture
def free_owner(session: Session) -> User:
    user = factories.user(session, credits=10)
    storage.measure(session, user.id)
    return user


@pytest.fixture
def closely(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has further submissions look at one thing after the other."""
    return lambda: monkeypatch.setattr(submission, "insert_if_ready", lambda *_, **__: None)


def inserted(session: Session, owner: User, workflow_id: UUID) -> Execution | None:
    request, limits = RunRequest(workflow_id, Priority.LOW), RunTimeLimits()
    ready = submission.prepare(owner, request, timeout=None, max_queue_seconds=None, limits=limits)
    return submission.insert_if_ready(session, ready)


@pytest.mark.parametrize(
    "requested",
    [
        {},
        {"input": {"text": "hello"}, "tags": ["nightly"], "priority": Priority.LOW},
        {"timeout": 60, "max_queue_seconds": 30},
        {"timeout": 10_000, "max_queue_seconds": 10_000, "limits": RunTimeLimits(max_timeout=100)},
    ],
)
@pytest.mark.parametrize("times", [{}, {"timeout": 50, "max_queue_seconds": 20}])
def test_is_stored_as_by_a_closer_look(
    session: Session, owner: User, closely: Callable[[], None], requested: dict[str, Any], times: dict[str, int]
) -> None:
    workflow = factories.workflow(session, owner, worst_case="3.50", **times)
    assert inserted(session, owner, workflow.id)
    ready = executions.submit(session, owner, workflow.id, **requested)
    closely()
    looked_at = executions.submit(session, owner, workflow.id, **requested)
    names = {attribute.key for attribute in inspect(Execution).column_attrs} - OWN
    assert {name: getattr(ready, name) for name in names} == {name: getattr(looked_at, name) for name in names}
    assert (ready.deadline_at, ready.start_by) == (looked_at.deadline_at, looked_at.start_by)  # of one transaction
    messages = select(ExecutionEvent.seq, ExecutionEvent.type, ExecutionEvent.message)
    first, second = (session.execute(messages.filter_by(execution_id=run.id)).all() for run in (ready, looked_at))
    assert first == second
    assert ledger.balance(session, owner.id).held == 3 * Decimal("3.50")
    assert ledger.violations(session) == []


def test_is_deferred_behind_as_many_as_the_tier_may_have_queued(session: Session, free_owner: User) -> None:
    workflow = factories.workflow(session, free_owner, worst_case="1.10")
    runs = [inserted(session, free_owner, workflow.id) for _ in range(8)]
    assert [bool(run and run.deferred_at) for run in runs] == 6 * [False] + 2 * [True]


def _version(**columns: Any) -> Change:
    """Let the newest version have these columns."""

    def add(session: Session, workflow: Workflow) -> None:
        values = {"name": "W", "graph": {"nodes": []}, "node_count": 2, "worst_case_credits": Decimal(1)} | columns
        session.add(WorkflowVersion(workflow_id=workflow.id, number=2, **values))
        workflow.latest_version = 2

    return add


def _sql(statement: str) -> Change:
    return lambda session, workflow: session.execute(
        text(statement), {"owner": workflow.user_id, "workflow": workflow.id, "id": uuid4()}
    )


def _older_workflows(session: Session, workflow: Workflow) -> None:
    for _ in range(3):
        old = factories.workflow(session, session.get_one(User, workflow.user_id))
        session.execute(
            update(Workflow).where(Workflow.id == old.id).values(created_at=datetime(2020, 1, 1, tzinfo=UTC))
        )


def _pending_runs(session: Session, workflow: Workflow) -> None:
    for _ in range(2):
        factories.execution(session, workflow)


NOT_READY: dict[str, Change] = {
    "errors of its graph": _version(lint_errors=[{"message": "No."}]),
    "workflows that it runs": _version(calls=[{"workflow": "id"}]),
    "agents that it names": _version(agents=[{"agent": "main"}]),
    "prices of another list": _version(price_list="2020-01"),
    "too many nodes": _version(node_count=11),
    "credits that are not there": _version(worst_case_credits=Decimal("10.01")),
    "as many older workflows as the tier allows": _older_workflows,
    "no room": _sql("UPDATE storage_used SET bytes = 100000000 WHERE user_id = :owner"),
    "room that was measured long ago": _sql(
        "UPDATE storage_used SET measured_at = now() - interval '61 s' WHERE user_id = :owner"
    ),
    "room that was never measured": _sql("DELETE FROM storage_used WHERE user_id = :owner"),
    "no calls left": _sql(
        "INSERT INTO api_calls (execution_id, node_id, path, user_id, requests) VALUES (:id, 'a', '', :owner, 100)"
    ),
    "as many pending runs as the tier allows": _pending_runs,
}


@pytest.mark.parametrize("reason", NOT_READY)
def test_is_not_inserted_with(session: Session, free_owner: User, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    free = PLANS[Tier.FREE]
    limits = dataclasses.replace(free.limits, max_pending_runs=2)
    monkeypatch.setitem(PLANS, Tier.FREE, dataclasses.replace(free, limits=limits))
    workflow = factories.workflow(session, free_owner)
    NOT_READY[reason](session, workflow)
    session.flush()
    before = session.scalar(select(func.count()).select_from(Execution))
    held = ledger.balance(session, free_owner.id).held
    assert inserted(session, free_owner, workflow.id) is None
    assert session.scalar(select(func.count()).select_from(Execution)) == before
    assert ledger.balance(session, free_owner.id).held == held


def test_is_inserted_of_a_version_like_these(session: Session, free_owner: User) -> None:
    workflow = factories.workflow(session, free_owner)
    _version()(session, workflow)
    session.flush()
    assert inserted(session, free_owner, workflow.id)


def test_is_inserted_while_a_measurement_is_wanted(session: Session, free_owner: User) -> None:
    workflow = factories.workflow(session, free_owner)
    _sql("UPDATE storage_used SET measured_at = now() - interval '1 h', wanted_at = now() WHERE user_id = :owner")(
        session, workflow
    )
    assert inserted(session, free_owner, workflow.id)


def test_is_not_inserted_of_a_workflow_that_its_owner_does_not_have(session: Session, owner: User) -> None:
    deleted = factories.workflow(session, owner, deleted_at=datetime.now(UTC))
    for workflow_id in (deleted.id, factories.workflow(session).id, uuid4()):
        assert inserted(session, owner, workflow_id) is None
