"""A tier that falls deletes nothing: what is over its limits can be read, and says why it can be nothing else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from models.errors import Forbidden, InvalidInput, NotFound
from models.rules.executions.states import ExecutionStatus, WorkflowStatus
from models.rules.prices.pricing import Tier
from models.services.executions import executions, retries
from models.services.workflows import runnable, workflows
from models.tables import User, Workflow
from tests.models.services.workflows.test_workflows import BROKEN, GOOD, OTHER, of_size
from tests.support import factories
from tests.support.database.statements import recorded_statements

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session)


@pytest.fixture
def owned(session: Session, owner: User) -> list[Workflow]:
    """Five workflows, the oldest first; the free tier allows three."""
    factories.workflow(session, created_at=LONG_AGO)  # somebody else's, and older
    newest_first = [
        factories.workflow(session, owner, created_at=LONG_AGO + timedelta(days=day), graph=GOOD)
        for day in reversed(range(5))
    ]
    return newest_first[::-1]


def read_only(session: Session, owner: User) -> list[bool]:
    """Of all workflows, the oldest first."""
    listed = [row.read_only_reason is not None for row in workflows.list_owned(session, owner)]
    got = [workflows.get(session, owner, row.id).read_only_reason for row in workflows.list_owned(session, owner)]
    assert [reason is not None for reason in got] == listed
    return listed[::-1]


def refused(act: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(Forbidden) as refusal:
        act(*args, **kwargs)
    return refusal.value.code


class TestTheNumberOfWorkflows:
    def test_leaves_the_oldest_ones_as_they_were(self, session: Session, owner: User, owned: list[Workflow]) -> None:
        assert read_only(session, owner) == [False, False, False, True, True]
        for workflow in owned[:3]:
            assert workflows.update(session, owner, workflow.id, graph=OTHER).latest_version == 2
            executions.submit(session, owner, workflow.id)

    def test_keeps_the_others_from_being_changed_or_run(
        self, session: Session, owner: User, owned: list[Workflow]
    ) -> None:
        for workflow in owned[3:]:
            assert refused(workflows.update, session, owner, workflow.id, name="Other") == "workflow_read_only"
            assert refused(executions.submit, session, owner, workflow.id) == "workflow_read_only"
            shown = workflows.get(session, owner, workflow.id)
            assert (shown.name != "Other", shown.latest_version) == (True, 1)

    def test_is_the_reason_even_for_a_graph_that_could_not_run(
        self, session: Session, owner: User, owned: list[Workflow]
    ) -> None:
        newest = factories.workflow(session, owner, graph=BROKEN, lint_errors=[{"field": "nodes", "message": "No."}])
        assert refused(executions.submit, session, owner, newest.id) == "workflow_read_only"

    def test_of_two_made_at_once_counts_one_before_the_other(self, session: Session, owner: User) -> None:
        made = [factories.workflow(session, owner, created_at=LONG_AGO, graph=GOOD) for _ in range(4)]
        assert read_only(session, owner) == [False, False, False, True]
        last = max(made, key=lambda workflow: workflow.id)
        assert refused(executions.submit, session, owner, last.id) == "workflow_read_only"

    def test_counts_no_deleted_workflow(self, session: Session, owner: User, owned: list[Workflow]) -> None:
        workflows.delete(session, owner, owned[0].id)
        assert read_only(session, owner) == [False, False, False, True]
        executions.submit(session, owner, owned[3].id)
        workflows.delete(session, owner, owned[4].id)  # a read-only one may go
        assert read_only(session, owner) == [False] * 3

    def test_is_no_matter_once_the_tier_is_higher(self, session: Session, owner: User, owned: list[Workflow]) -> None:
        owner.subscription_tier = Tier.PREMIUM
        assert read_only(session, owner) == [False] * 5
        executions.submit(session, owner, owned[4].id)

    def test_does_not_reveal_a_workflow_to_others(self, session: Session, owned: list[Workflow]) -> None:
        stranger = factories.user(session)
        for ask in (workflows.update, runnable.newest):
            with pytest.raises(NotFound):
                ask(session, stranger, owned[4].id)

    def test_keeps_ended_runs_from_being_retried(self, session: Session, owner: User, owned: list[Workflow]) -> None:
        failed = [factories.execution(session, workflow, status=ExecutionStatus.FAILED) for workflow in owned]
        assert refused(retries.retry, session, owner, failed[4].id) == "workflow_read_only"
        retries.retry(session, owner, failed[0].id)
        workflows.delete(session, owner, owned[4].id)
        retries.retry(session, owner, failed[4].id)  # as those of any deleted workflow


class TestTheNumberOfNodes:
    @pytest.fixture
    def large(self, session: Session, owner: User) -> Workflow:
        return factories.workflow(session, owner, graph=of_size(13))

    def test_keeps_a_workflow_from_being_run(self, session: Session, owner: User, large: Workflow) -> None:
        assert refused(executions.submit, session, owner, large.id) == "node_limit_reached"
        reason = workflows.get(session, owner, large.id).read_only_reason
        assert reason is not None
        for said in ("free tier", "10 nodes", "has 13", "remove some", "higher tier"):
            assert said in reason

    @pytest.mark.parametrize("change", [{"name": "Other"}, {"graph": of_size(13)}, {"graph": of_size(14)}])
    def test_keeps_it_from_changing_without_becoming_smaller(
        self, session: Session, owner: User, large: Workflow, change: dict[str, Any]
    ) -> None:
        assert refused(workflows.update, session, owner, large.id, **change) == "node_limit_reached"

    def test_is_checked_before_the_graph_is(self, session: Session, owner: User, large: Workflow) -> None:
        wrong: dict[str, Any] = {"nodes": [{"id": number} for number in range(13)], "connections": []}
        assert refused(workflows.update, session, owner, large.id, graph=wrong) == "node_limit_reached"
        assert refused(workflows.validate, session, owner, wrong) == "node_limit_reached"

    def test_lets_it_become_smaller_step_by_step(self, session: Session, owner: User, large: Workflow) -> None:
        smaller = workflows.update(session, owner, large.id, name="Less", graph=of_size(11))
        assert (smaller.name, smaller.read_only_reason is None) == ("Less", False)
        assert refused(executions.submit, session, owner, large.id) == "node_limit_reached"
        assert workflows.update(session, owner, large.id, graph=of_size(10)).read_only_reason is None
        executions.submit(session, owner, large.id)

    def test_does_not_make_a_broken_graph_right(self, session: Session, owner: User, large: Workflow) -> None:
        broken = workflows.update(session, owner, large.id, graph=BROKEN)
        assert broken.current_status is WorkflowStatus.DRAFT
        with pytest.raises(InvalidInput):
            executions.submit(session, owner, large.id)

    def test_holds_for_retries_of_an_old_version(self, session: Session, owner: User, large: Workflow) -> None:
        failed = factories.execution(session, large, status=ExecutionStatus.FAILED)
        workflows.update(session, owner, large.id, graph=GOOD)
        assert refused(retries.retry, session, owner, failed.id) == "node_limit_reached"

    def test_lets_it_be_deleted(self, session: Session, owner: User, large: Workflow) -> None:
        workflows.delete(session, owner, large.id)


@pytest.mark.parametrize("tier", Tier)
def test_knowing_what_is_read_only_takes_no_query_of_its_own(
    session: Session, owner: User, owned: list[Workflow], tier: Tier
) -> None:
    owner.subscription_tier = tier
    session.flush()
    for ask in (
        lambda: workflows.list_owned(session, owner),
        lambda: workflows.get(session, owner, owned[0].id),
        lambda: runnable.newest(session, owner, owned[0].id),
    ):
        with recorded_statements() as statements:
            ask()
        assert len(statements) == 1
