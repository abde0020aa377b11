"""Saving workflows: versions, verdicts, limits."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import Forbidden, InvalidInput, NotFound
from models.rules.executions.states import WorkflowStatus
from models.rules.prices.pricing import Tier
from models.services.executions import executions
from models.services.workflows import runnable, workflows
from models.tables import User, Workflow, WorkflowVersion
from tests.support import factories
from tests.support.database.concurrency import at_once
from tests.support.factories import chain, node

GOOD = chain(node("start", "input"), node("end", "output"))
OTHER = chain(node("start", "input"), node("middle", "merge"), node("end", "output"))
BROKEN = chain(node("start", "input"), node("call", "api_call"))  # without a url


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session, tier=Tier.PREMIUM)


def numbers(session: Session, workflow: Workflow) -> list[int]:
    query = select(WorkflowVersion.number).where(WorkflowVersion.workflow_id == workflow.id)
    return list(session.scalars(query.order_by(WorkflowVersion.number)))


class TestCreate:
    def test_keeps_the_graph_as_it_was_sent_with_the_price_of_its_worst_case(
        self, session: Session, owner: User
    ) -> None:
        graph = {
            "nodes": [node("start", "input", color="red", position={"x": 1.5, "y": -2, "z": 0}), node("end", "output")],
            "connections": [{"id": "c1", "from": "start", "to": "end", "animated": True}],
        }
        created = workflows.create(session, owner, name="Mine", description="What it does", graph=graph)
        session.expire_all()
        kept = workflows.get(session, owner, created.id)
        assert kept.latest.graph == graph
        assert (kept.latest.number, kept.latest.node_count, kept.latest.lint_errors) == (1, 2, [])
        assert kept.latest.worst_case_credits == Decimal("1.20")
        assert (kept.name, kept.description, kept.status) == ("Mine", "What it does", WorkflowStatus.ACTIVE)

    def test_keeps_a_graph_with_errors_as_a_draft_and_names_node_and_field(self, session: Session, owner: User) -> None:
        created = workflows.create(session, owner, name="Mine", graph=BROKEN)
        message = 'Node "Call": A node of type api_call needs `url`.'
        assert created.problems == [{"field": "nodes.1.config.url", "message": message, "nodeId": "call"}]
        assert created.current_status is WorkflowStatus.DRAFT
        with pytest.raises(InvalidInput) as refusal:
            executions.submit(session, owner, created.id)
        assert refusal.value.detail == f"This workflow cannot run. {message}"

    def test_takes_a_draft_with_errors_that_cannot_run(self, session: Session, owner: User) -> None:
        draft = workflows.create(session, owner, name="Mine", graph=BROKEN, status=WorkflowStatus.DRAFT)
        with pytest.raises(InvalidInput) as refusal:
            executions.submit(session, owner, draft.id)
        assert refusal.value.code == "invalid_graph"

    @pytest.mark.parametrize(
        ("graph", "field"),
        [
            ({"nodes": "none", "connections": []}, "nodes"),
            ({"nodes": [node("x" * 65)], "connections": []}, "nodes.0.id"),
            ({"nodes": [], "connections": [{"id": "c"}]}, "connections.0.from"),
        ],
    )
    def test_refuses_what_has_not_even_the_shape_of_a_graph(
        self, session: Session, owner: User, graph: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(InvalidInput) as refusal:
            workflows.create(session, owner, name="Mine", graph=graph, status=WorkflowStatus.DRAFT)
        assert refusal.value.code == "invalid_graph"
        assert field in [error.field for error in refusal.value.errors]

    def test_takes_a_single_node_without_connections(self, session: Session, owner: User) -> None:
        created = workflows.create(session, owner, name="Mine", graph={"nodes": [node("only", "input")]})
        assert created.latest.graph["connections"] == []

    def test_runs_a_draft_without_errors(self, session: Session, owner: User) -> None:
        draft = workflows.create(session, owner, name="Mine", graph=GOOD, status=WorkflowStatus.DRAFT)
        assert executions.submit(session, owner, draft.id).nodes_total == 2


class TestUpdate:
    @pytest.fixture
    def workflow(self, session: Session, owner: User) -> Workflow:
        return workflows.create(session, owner, name="Mine", graph=GOOD)

    def test_with_another_graph_adds_a_version(self, session: Session, owner: User, workflow: Workflow) -> None:
        updated = workflows.update(session, owner, workflow.id, graph=OTHER)
        assert (updated.latest_version, updated.latest.number, updated.latest.node_count) == (2, 2, 3)
        assert numbers(session, workflow) == [1, 2]

    def test_with_the_same_graph_adds_none(self, session: Session, owner: User, workflow: Workflow) -> None:
        turned_around = {
            "connections": GOOD["connections"],
            "nodes": [dict(reversed(n.items())) for n in GOOD["nodes"]],
        }
        updated = workflows.update(session, owner, workflow.id, name="Renamed", graph=turned_around)
        assert (updated.name, updated.latest_version) == ("Renamed", 1)
        assert numbers(session, workflow) == [1]

    @pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), (0, False), ("1", 1)])
    def test_distinguishes_values_that_python_takes_for_equal(
        self, session: Session, owner: User, workflow: Workflow, before: Any, after: Any
    ) -> None:
        graphs = [chain(node("start", "input", extra=value), node("end", "output")) for value in (before, after)]
        workflows.update(session, owner, workflow.id, graph=graphs[0])
        assert workflows.update(session, owner, workflow.id, graph=graphs[1]).latest_version == 3

    def test_leaves_what_is_not_given(self, session: Session, owner: User, workflow: Workflow) -> None:
        updated = workflows.update(session, owner, workflow.id, description="New words")
        assert (updated.name, updated.description, updated.latest_version) == ("Mine", "New words", 1)

    def test_leaves_runs_pinned_to_their_version(self, session: Session, owner: User, workflow: Workflow) -> None:
        run = executions.submit(session, owner, workflow.id)
        workflows.update(session, owner, workflow.id, graph=OTHER)
        assert run.version.graph == GOOD

    def test_that_breaks_the_graph_makes_it_a_draft_until_it_is_mended(
        self, session: Session, owner: User, workflow: Workflow
    ) -> None:
        broken = workflows.update(session, owner, workflow.id, graph=BROKEN)
        assert (broken.current_status, broken.latest_version) == (WorkflowStatus.DRAFT, 2)
        assert [problem["nodeId"] for problem in broken.problems] == ["call"]
        again = workflows.update(session, owner, workflow.id, status=WorkflowStatus.ACTIVE)
        assert (again.current_status, len(again.problems)) == (WorkflowStatus.DRAFT, 1)
        mended = workflows.update(session, owner, workflow.id, graph=GOOD)
        assert (mended.current_status, mended.problems) == (WorkflowStatus.ACTIVE, [])

    def test_leaves_a_draft_a_draft(self, session: Session, owner: User) -> None:
        draft = workflows.create(session, owner, name="Mine", graph=BROKEN, status=WorkflowStatus.DRAFT)
        assert workflows.update(session, owner, draft.id, graph=GOOD).current_status is WorkflowStatus.DRAFT

    @pytest.mark.usefixtures("committed_database")
    def test_by_many_at_once_numbers_versions_one_after_the_other(self) -> None:
        with session_scope() as session:
            owner = factories.user(session, tier=Tier.PREMIUM)
            workflow = workflows.create(session, owner, name="Mine", graph=GOOD)

        def save(number: int) -> None:
            graph = chain(node("start", "input", edition=number), node("end", "output"))
            with session_scope() as session:
                workflows.update(session, owner, workflow.id, graph=graph)

        at_once(8, save)
        with session_scope() as session:
            assert numbers(session, workflow) == list(range(1, 10))


class TestLimits:
    def test_allow_three_workflows_in_the_free_tier(self, session: Session) -> None:
        owner = factories.user(session)
        for _ in range(3):
            workflows.create(session, owner, name="Mine", graph=GOOD)
        with pytest.raises(Forbidden) as refusal:
            workflows.create(session, owner, name="Mine", graph=GOOD)
        assert refusal.value.code == "workflow_limit_reached"

    def test_count_no_deleted_workflow(self, session: Session) -> None:
        owner = factories.user(session)
        for _ in range(5):
            workflows.delete(session, owner, workflows.create(session, owner, name="Mine", graph=GOOD).id)

    def test_know_no_number_in_the_premium_tier(self, session: Session, owner: User) -> None:
        for _ in range(5):
            workflows.create(session, owner, name="Mine", graph=GOOD)

    @pytest.mark.parametrize(("tier", "most"), [(Tier.FREE, 10), (Tier.PREMIUM, 50)])
    def test_of_nodes_hold_for_new_workflows_and_new_versions(self, session: Session, tier: Tier, most: int) -> None:
        owner = factories.user(session, tier=tier)
        workflow = workflows.create(session, owner, name="Mine", graph=of_size(most))
        with pytest.raises(Forbidden) as refusal:
            workflows.update(session, owner, workflow.id, graph=of_size(most + 1))
        assert refusal.value.code == "node_limit_reached"
        with pytest.raises(Forbidden):
            workflows.create(session, owner, name="Mine", graph=of_size(most + 1))

    @pytest.mark.usefixtures("committed_database")
    def test_hold_against_many_requests_at_once(self) -> None:
        with session_scope() as session:
            owner = factories.user(session)

        def create(_: int) -> bool:
            try:
                with session_scope() as session:
                    workflows.create(session, owner, name="Mine", graph=GOOD)
            except Forbidden:
                return False
            return True

        assert sum(at_once(12, create)) == 3
        with session_scope() as session:
            assert session.scalar(select(func.count()).select_from(Workflow)) == 3


class TestOwnership:
    def test_another_users_workflow_does_not_exist(self, session: Session, owner: User) -> None:
        stranger = factories.workflow(session)
        for ask in (workflows.get, workflows.update, workflows.delete, runnable.newest):
            with pytest.raises(NotFound):
                ask(session, owner, stranger.id)
        assert workflows.list_owned(session, owner) == []

    def test_a_deleted_workflow_does_not_exist_but_its_versions_do(self, session: Session, owner: User) -> None:
        workflow = workflows.create(session, owner, name="Mine", graph=GOOD)
        workflows.delete(session, owner, workflow.id)
        for ask in (workflows.get, workflows.update, workflows.delete, runnable.newest):
            with pytest.raises(NotFound):
                ask(session, owner, workflow.id)
        assert workflows.list_owned(session, owner) == []
        assert numbers(session, workflow) == [1]


def test_lists_show_the_newest_first_with_their_graphs(session: Session, owner: User) -> None:
    made = [workflows.create(session, owner, name=f"Number {number}", graph=GOOD) for number in range(3)]
    session.expire_all()
    first = workflows.list_owned(session, owner, limit=2)
    rest = workflows.list_owned(session, owner, limit=2, after=(first[-1].created_at, first[-1].id))
    assert sorted(row.id for row in (*first, *rest)) == sorted(row.id for row in made)
    assert all(row.latest.graph == GOOD for row in first)


def test_a_version_cannot_be_changed(session: Session, owner: User) -> None:
    workflows.create(session, owner, name="Mine", graph=GOOD)
    with pytest.raises(IntegrityError, match="never changed"):
        session.execute(text("UPDATE workflow_versions SET graph = '{}'"))


def of_size(nodes: int) -> dict[str, Any]:
    """A chain of that many nodes that may run."""
    return chain(node("start", "input"), *(node(f"m{i}", "merge") for i in range(nodes - 2)), node("end", "output"))
