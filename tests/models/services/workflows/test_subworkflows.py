"""Workflows that run workflows, as they are saved and submitted: judged by what the owner has now."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from models.rules.executions.states import WorkflowStatus
from models.rules.prices.pricing import Tier
from models.services.credits import ledger
from models.services.executions import executions
from models.services.workflows import runnable, workflows
from models.services.workflows.saved_versions import InvalidGraph
from models.tables import User
from tests.support import factories
from tests.support.factories import chain, node

FIELD = "nodes.0.config.workflowId"


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session, credits=100, tier=Tier.PREMIUM)


def sub(workflow_id: UUID, **rest: Any) -> dict[str, Any]:
    return node("s", "subworkflow", config={"workflowId": str(workflow_id)}, **rest)


def save(session: Session, owner: User, *nodes: dict[str, Any], name: str = "W", **rest: Any) -> UUID:
    return workflows.create(session, owner, name=name, graph=chain(*nodes), **rest).id


def fields(refusal: Any) -> list[str]:
    return [error.field for error in refusal.value.errors]


def test_the_worst_case_has_that_of_all_it_runs(session: Session, owner: User):
    inner = save(session, owner, node("a", "api_call", config={"url": "http://x"}))
    middle = save(session, owner, sub(inner), node("b"))
    top = save(session, owner, sub(middle))
    run = executions.submit(session, owner, top)
    assert run.credits_cap == Decimal("1.10") + Decimal("1.20") + Decimal("1.10")
    assert ledger.balance(session, owner.id).held == Decimal("3.40")
    assert workflows.validate(session, owner, chain(sub(middle))).worst_case_credits == Decimal("3.40")


def test_a_child_that_became_dearer_is_dearer_at_the_next_submit(session: Session, owner: User):
    inner = save(session, owner, node("a"))
    top = save(session, owner, sub(inner))
    workflows.update(session, owner, inner, graph=chain(node("a"), node("b")))
    assert executions.submit(session, owner, top).credits_cap == Decimal("2.30")


@pytest.mark.parametrize("whose", ["nobody", "stranger", "deleted"])
def test_a_workflow_that_the_owner_does_not_have_is_named(session: Session, owner: User, whose: str):
    missing = {"nobody": uuid4(), "stranger": factories.workflow(session).id}.get(whose) or save(
        session, owner, node("a")
    )
    if whose == "deleted":
        workflows.delete(session, owner, missing)
    with pytest.raises(InvalidGraph) as refusal:
        executions.submit(session, owner, save(session, owner, sub(missing)))
    assert fields(refusal) == [FIELD]
    assert 'Node "S", `workflowId`: ' in refusal.value.detail
    found = workflows.validate(session, owner, chain(sub(missing))).errors
    assert [(f.code, f.node_id, f.field) for f in found] == [("unknown_workflow", "s", FIELD)]


def test_what_was_sound_when_it_was_saved_is_judged_again_when_it_runs(session: Session, owner: User):
    inner = save(session, owner, node("a"))
    top = save(session, owner, sub(inner))
    workflows.delete(session, owner, inner)
    with pytest.raises(InvalidGraph) as refusal:
        executions.submit(session, owner, top)
    assert fields(refusal) == [FIELD]
    assert ledger.balance(session, owner.id).held == 0


def test_a_workflow_is_a_draft_while_what_it_runs_cannot_run(session: Session, owner: User):
    """Its problems follow those of the others, however deep they are, without a save of its own."""
    inner = save(session, owner, node("a"), name="Inner")
    middle = save(session, owner, sub(inner), name="Middle")
    top = save(session, owner, sub(middle), name="Top")

    def shown() -> dict[str, tuple[str, int]]:
        return {row.name: (row.current_status, len(row.problems)) for row in workflows.list_owned(session, owner)}

    def listed(status: WorkflowStatus) -> set[str]:
        return {row.name for row in workflows.list_owned(session, owner, status=status)}

    assert shown() == dict.fromkeys(("Inner", "Middle", "Top"), ("active", 0))
    workflows.update(session, owner, inner, graph=chain(node("a", "api_call")))
    assert shown() == dict.fromkeys(("Inner", "Middle", "Top"), ("draft", 1))
    said = workflows.get(session, owner, top).problems[0]["message"]
    assert said.startswith('Node "S", `workflowId`: In `Middle`: `Inner` cannot run: Node "A": ')
    assert (listed(WorkflowStatus.ACTIVE), len(listed(WorkflowStatus.DRAFT))) == (set(), 3)
    workflows.update(session, owner, inner, graph=chain(node("a")))
    assert shown() == dict.fromkeys(("Inner", "Middle", "Top"), ("active", 0))
    assert (len(listed(WorkflowStatus.ACTIVE)), listed(WorkflowStatus.DRAFT)) == (3, set())


def test_a_draft_with_errors_is_not_run_by_others(session: Session, owner: User):
    broken = save(session, owner, node("a", "api_call"), status=WorkflowStatus.DRAFT, name="Broken")
    with pytest.raises(InvalidGraph) as refusal:
        executions.submit(session, owner, save(session, owner, sub(broken)))
    assert "`Broken` cannot run: " in refusal.value.detail


def test_the_tiers_limits_hold_for_what_is_run_too(session: Session, owner: User):
    large = save(session, owner, *(node(f"n{number}") for number in range(11)))
    top = save(session, owner, sub(large))
    owner.subscription_tier = Tier.FREE
    session.flush()
    with pytest.raises(InvalidGraph) as refusal:
        executions.submit(session, owner, top)
    assert "allows 10 nodes" in refusal.value.detail


def test_workflows_that_run_each_other_for_ever_are_refused(session: Session, owner: User):
    first = save(session, owner, node("a"))
    second = save(session, owner, sub(first))
    workflows.update(session, owner, first, graph=chain(sub(second)))
    with pytest.raises(InvalidGraph) as refusal:
        executions.submit(session, owner, first)
    assert "5 deep" in refusal.value.detail


def test_a_workflow_that_may_run_itself_is_saved_with_a_warning(session: Session, owner: User):
    itself = save(session, owner, node("a"))
    graph = chain(node("q", "decision", config={"condition": "true"}), sub(itself))
    graph["connections"][0]["fromPort"] = "true"
    workflows.update(session, owner, itself, graph=graph)
    report = workflows.validate(session, owner, graph)
    assert ("may_nest_too_deeply", "s") in [(f.code, f.node_id) for f in report.warnings]
    assert report.errors == ()
    assert runnable.newest(session, owner, itself).worst_case_credits == 6 * Decimal("1.20")


def test_a_graph_that_runs_nothing_asks_nothing_more(session: Session, owner: User):
    plain = save(session, owner, node("a"))
    assert runnable.newest(session, owner, plain).worst_case_credits == Decimal("1.10")
