"""Runs that are submitted at the same time: inserted in one transaction, and each as if it were alone."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.jobs import submissions
from api.jobs.submissions import insert_together
from models import dialect
from models.db import session_scope
from models.services.credits import storage
from models.services.executions import executions
from models.services.orchestration import submission
from models.services.orchestration.submission import Submission
from models.tables import Credit, Execution, User, Workflow
from tasks.queue import TaskMessage
from tests.support import factories

Ready = Callable[..., Submission]


@pytest.fixture
def ready(shared_database: str, sent: list[TaskMessage]) -> Ready:
    """Prepares a run of a new user, or of a given one."""

    def make(owner: User | None = None, *, credits: int = 100) -> Submission:
        with session_scope() as session:
            user = session.get_one(User, owner.id) if owner else factories.user(session, credits=credits)
            storage.measure(session, user.id)
            workflow = factories.workflow(session, user, worst_case="3.50")
        return executions.prepare(user, workflow.id, input={"a": 1})

    return make


def stored(asked: Submission) -> tuple[int, Decimal]:
    """The number of the owner's runs, and the credits that are held for them."""
    with session_scope() as session:
        runs = select(func.count()).select_from(Execution).where(Execution.user_id == asked.owner.id)
        held = select(Credit.held).where(Credit.user_id == asked.owner.id)
        return session.scalars(runs).one(), session.scalars(held).one()


def test_are_committed_once(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [ready() for _ in range(3)]
    control: list[str] = []
    run = dialect._run
    monkeypatch.setattr(dialect, "_run", lambda connection, sql: control.append(sql) or run(connection, sql))
    found = insert_together(asked)
    assert [statement for statement in control if "COMMIT" in statement] == ["COMMIT"]
    assert len({found[one].id for one in asked}) == 3
    assert [stored(one) for one in asked] == [(1, Decimal("3.50"))] * 3


def test_two_of_one_user_hold_credits_for_both(ready: Ready) -> None:
    first = ready()
    second = ready(first.owner)
    insert_together([first, second])
    assert stored(first) == (2, Decimal("7.00"))


def test_one_that_is_refused_is_left_to_its_request(ready: Ready) -> None:
    poor, other = ready(credits=1), ready()
    found = insert_together([poor, other])
    assert found[poor] is None
    assert [stored(poor), stored(other)] == [(0, 0), (1, Decimal("3.50"))]


def test_nobody_waits_for_somebody_who_saves_a_workflow(ready: Ready) -> None:
    saved, other = ready(), ready()
    with session_scope() as saving:
        saving.get_one(Workflow, saved.request.workflow_id, with_for_update=True)
        found = insert_together([saved, other])
    assert found[saved] is None
    assert [stored(saved), stored(other)] == [(0, 0), (1, Decimal("3.50"))]


def test_what_goes_wrong_with_one_is_no_concern_of_the_others(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, other = ready(), ready()
    insert = submission.insert_if_ready

    def fail(session: Session, asked: Submission, *, alone: bool = False) -> Execution | None:
        if asked is wrong:
            raise OperationalError("INSERT", None, Exception())
        return insert(session, asked, alone=alone)

    monkeypatch.setattr(submission, "insert_if_ready", fail)
    found = insert_together([wrong, other])
    assert isinstance(found[wrong], OperationalError)
    assert [stored(wrong), stored(other)] == [(0, 0), (1, Decimal("3.50"))]


def test_after_a_commit_whose_end_nobody_knows_none_is_inserted_again(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [ready(), ready()]
    commit = Session.commit

    def lose(session: Session) -> None:
        commit(session)
        raise OperationalError("COMMIT", None, Exception())

    monkeypatch.setattr(Session, "commit", lose)
    with pytest.raises(OperationalError):
        insert_together(asked)
    monkeypatch.undo()
    assert [stored(one)[0] for one in asked] == [1, 1]


def test_rows_are_locked_in_the_order_of_their_owners(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [ready() for _ in range(4)]
    order: list[Submission] = []
    insert = submission.insert_if_ready
    monkeypatch.setattr(
        submissions.submission,
        "insert_if_ready",
        lambda session, one, **options: order.append(one) or insert(session, one, **options),
    )
    insert_together(asked[::-1])
    assert [one.owner.id for one in order] == sorted(one.owner.id for one in asked)
