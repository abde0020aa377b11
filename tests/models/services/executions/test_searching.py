"""Runs are found by their texts, their tags and their time."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from models.rules.executions.states import ExecutionStatus
from models.services.executions import executions, retries
from models.tables import Execution, User
from tests.support import factories

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def owner(session: Session) -> User:
    return factories.user(session)


@pytest.fixture
def runs(session: Session, owner: User) -> dict[str, Execution]:
    """A run of each kind."""
    invoices = factories.workflow(session, owner, name="Send invoices")
    mails = factories.workflow(session, owner, name="O'Brien's mails")
    timeout = {"code": "node_timed_out", "message": "No answer from api.example.com in 30 s.", "nodeId": "fetch"}
    failed, cancelled = ExecutionStatus.FAILED, ExecutionStatus.CANCELLED
    return {
        "plain": factories.execution(session, invoices, created_at=NOON),
        "failed": factories.execution(session, invoices, status=failed, error=timeout, created_at=NOON),
        "tagged": factories.execution(session, mails, tags=["nightly", "customer-7"], created_at=NOON),
        "both": factories.execution(
            session, mails, status=cancelled, error={"message": "Cancelled."}, tags=["nightly"], created_at=NOON
        ),
    }


def found(session: Session, owner: User, runs: dict[str, Execution], **filters: object) -> set[str]:
    names = {run.id: name for name, run in runs.items()}
    return {names[run.id] for run in executions.list_owned(session, owner, **filters)}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("invoices", {"plain", "failed"}),
        ("INVOICE", {"plain", "failed"}),
        ("send inv", {"plain", "failed"}),
        ("answer", {"failed"}),
        ("node_timed_out", {"failed"}),
        ("api.example.com", {"failed"}),
        ("invoices answer", {"failed"}),
        ("invoices nightly", set()),
        ("nightly", {"tagged", "both"}),
        ("customer-7", {"tagged"}),
        ("mails nightly", {"tagged", "both"}),
        ("O'Brien", {"tagged", "both"}),
        ("cancelled nightly", {"both"}),
        ("unheard", set()),
        ("' | !x & (", set()),
        ("\\", set()),
        ("   ", set()),
    ],
)
def test_every_word_begins_one_of_the_run(session, owner, runs, query, names):
    assert found(session, owner, runs, query=query) == names


@pytest.mark.parametrize(
    ("tag", "names"), [("nightly", {"tagged", "both"}), ("customer-7", {"tagged"}), ("night", set()), ("!", set())]
)
def test_a_tag_is_found_as_a_whole(session, owner, runs, tag, names):
    assert found(session, owner, runs, tag=tag) == names


def test_a_tag_of_signs_alone_is_found_too(session, owner, runs):
    runs["signs"] = factories.execution(session, tags=["!?"], of=factories.workflow(session, owner))
    assert found(session, owner, runs, tag="!?") == {"signs"}


def test_filters_go_together(session, owner, runs):
    assert found(session, owner, runs, query="nightly", status=ExecutionStatus.CANCELLED) == {"both"}
    assert found(session, owner, runs, tag="nightly", workflow_id=runs["plain"].workflow_id) == set()


def test_time_is_that_of_the_submission(session, owner, runs):
    runs["later"] = factories.execution(
        session, created_at=NOON + timedelta(hours=1), of=factories.workflow(session, owner)
    )
    hour = timedelta(hours=1)
    assert found(session, owner, runs, since=NOON + hour) == {"later"}
    assert found(session, owner, runs, since=NOON, until=NOON + hour) == {"plain", "failed", "tagged", "both"}


def test_other_users_runs_are_not_found(session, owner, runs):
    stranger = factories.user(session)
    assert executions.list_owned(session, stranger, query="nightly") == []
    assert executions.list_owned(session, stranger, tag="nightly") == []
    assert executions.list_owned(session, stranger, query=str(owner.id)) == []


def test_a_retry_keeps_the_tags(session, owner, runs):
    again = retries.retry(session, owner, runs["both"].id).execution
    assert again.tags == ["nightly"]
