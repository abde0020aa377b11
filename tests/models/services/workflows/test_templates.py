"""The gallery, and the four templates that it starts with."""

import pytest
from sqlalchemy.orm import Session

from models.errors import InvalidInput, NotFound
from models.rules.executions.states import WorkflowStatus
from models.rules.lint.lint import check_shape, lint
from models.services.executions import executions
from models.services.workflows import templates, workflows
from models.tables import User
from tests.support import factories
from tests.support.factories import chain, node

GOOD = chain(node("start", "input"), node("end", "output"))
SEEDED = {
    "data-processing-pipeline": ["input", "process", "output"],
    "email-automation": ["input", "ai_agent", "api_call"],
    "content-analysis": ["input", "ai_agent", "decision", "output", "output"],
    "social-media-bot": ["input", "ai_agent", "api_call"],
}


@pytest.fixture
def user(session: Session) -> User:
    return factories.user(session)


def test_four_come_with_the_service(session: Session, user: User) -> None:
    shown = {template.slug: template for template in templates.list_visible(session, user)}
    assert list(shown) == list(SEEDED)
    for slug, kinds in SEEDED.items():
        assert [node["type"] for node in shown[slug].graph["nodes"]] == kinds


@pytest.mark.parametrize("slug", SEEDED)
def test_each_is_without_fault_and_can_run_once_it_is_copied(session: Session, user: User, slug: str) -> None:
    (template,) = (row for row in templates.list_visible(session, user) if row.slug == slug)
    check_shape(template.graph)
    report = lint(template.graph)
    assert (list(report.errors), list(report.warnings)) == ([], [])
    workflow = templates.instantiate(session, user, template.id)
    assert (workflow.name, workflow.user_id) == (template.name, user.id)
    assert workflow.latest.graph == template.graph
    assert executions.submit(session, user, workflow.id, input="hello").nodes_total == len(SEEDED[slug])


def test_are_found_by_category(session: Session, user: User) -> None:
    assert [row.slug for row in templates.list_visible(session, user, category="analysis")] == ["content-analysis"]


def test_ones_own_is_visible_to_its_owner_only(session: Session, user: User) -> None:
    mine = templates.create(session, user, name="Mine", category="analysis", graph=GOOD)
    stranger = factories.user(session)
    assert templates.get(session, user, mine.id).graph == GOOD
    assert mine.id in [row.id for row in templates.list_visible(session, user)]
    assert mine.id not in [row.id for row in templates.list_visible(session, stranger)]
    for ask in (templates.get, templates.instantiate):
        with pytest.raises(NotFound):
            ask(session, stranger, mine.id)


def test_with_errors_is_kept_with_its_problems_and_not_published(session: Session, user: User) -> None:
    broken = chain(node("call", "api_call"))
    mine = templates.create(session, user, name="Mine", category="analysis", graph=broken)
    assert [problem["message"] for problem in mine.problems] == ['Node "Call": A node of type api_call needs `url`.']
    with pytest.raises(InvalidInput) as refusal:
        templates.change(session, user, mine.id, published=True)
    assert refusal.value.code == "invalid_graph"
    assert refusal.value.detail.startswith('This template cannot be published. Node "Call": ')
    copy = templates.instantiate(session, user, mine.id)
    assert (copy.current_status, copy.problems) == (WorkflowStatus.DRAFT, mine.problems)
    session.refresh(mine)
    assert templates.change(session, user, mine.id, graph=GOOD, published=False).problems == []


def test_a_copy_takes_the_name_that_is_wanted(session: Session, user: User) -> None:
    mine = templates.create(session, user, name="Mine", category="analysis", graph=GOOD)
    assert templates.instantiate(session, user, mine.id, name="My copy").name == "My copy"
    assert len(workflows.list_owned(session, user)) == 1
