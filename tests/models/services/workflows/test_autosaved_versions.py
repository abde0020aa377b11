"""An editor's saves that follow each other are one version, and a version that a run used never changes."""

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.db import SessionFactory, session_scope
from models.rules.prices.pricing import PLANS
from models.services.executions import executions
from models.services.orchestration import submission
from models.services.orchestration.submission import RunRequest
from models.services.workflows import runnable, workflow_versions, workflows
from models.tables import Execution, User, WorkflowVersion
from tests.support import factories
from tests.support.database.concurrency import at_once
from tests.support.factories import node

MINE, OTHERS = uuid4(), uuid4()

Read = Callable[[Session, User, UUID], runnable.Runnable]


class Desk:
    """A user with a workflow of one version."""

    def __init__(self) -> None:
        with session_scope() as session:
            owner = factories.user(session, credits=1000)
            self.user_id: UUID = owner.id
            self.workflow_id: UUID = workflows.create(session, owner, name="W", graph=graph(0)).id

    def save(self, size: int, *, editor: UUID | None = MINE) -> int:
        """Save a graph of another size; returns the number of its version."""
        with session_scope() as session:
            owner = session.get_one(User, self.user_id)
            saved = workflows.update(session, owner, self.workflow_id, graph=graph(size), editor=editor)
            return saved.latest_version

    def run(self) -> UUID:
        with session_scope() as session:
            return executions.submit(session, session.get_one(User, self.user_id), self.workflow_id).id

    def listed(self) -> list[tuple[int | None, int]]:
        """Number and size of the versions in the history, newest first."""
        with session_scope() as session:
            found = workflow_versions.list_of(session, session.get_one(User, self.user_id), self.workflow_id)
            return [(version.number, version.node_count) for version in found]

    def size_of(self, execution_id: UUID) -> int:
        """How many nodes the graph has that a run follows."""
        with session_scope() as session:
            version_id = session.get_one(Execution, execution_id).version_id
            return len(session.get_one(WorkflowVersion, version_id).graph["nodes"])

    def number_of(self, execution_id: UUID) -> int | None:
        """The number of the version that a run follows; None if it is not in the history."""
        with session_scope() as session:
            version_id = session.get_one(Execution, execution_id).version_id
            return session.get_one(WorkflowVersion, version_id).number

    def age(self, minutes: int, column: str = "created_at") -> None:
        with session_scope() as session:
            session.execute(text("ALTER TABLE workflow_versions DISABLE TRIGGER workflow_versions_never_change"))
            session.execute(text(f"UPDATE workflow_versions SET {column} = now() - make_interval(mins => {minutes})"))
            session.execute(text("ALTER TABLE workflow_versions ENABLE TRIGGER workflow_versions_never_change"))


def graph(size: int) -> dict[str, Any]:
    return {"nodes": [node(f"n{index}", "input") for index in range(size)], "connections": []}


def newest(session: Session, owner: User, workflow_id: UUID) -> runnable.Runnable:
    return runnable.newest(session, owner, workflow_id)


def latest_again(session: Session, owner: User, workflow_id: UUID) -> runnable.Runnable:
    return runnable.again(session, owner, workflow_id, "latest")


@pytest.fixture
def desk(committed_database: str) -> Desk:
    return Desk()


def test_saves_of_one_stretch_are_one_version(desk: Desk):
    assert [desk.save(size) for size in (1, 2, 3)] == [2, 2, 2]
    assert desk.listed() == [(2, 3), (1, 0)]


def test_a_pause_begins_another_version(desk: Desk):
    desk.save(1)
    desk.age(11)
    assert desk.save(2) == 3


def test_an_hour_of_editing_is_more_than_one_version(desk: Desk):
    desk.save(1)
    desk.age(61, "begun_at")
    assert desk.save(2) == 3


def test_another_session_begins_another_version(desk: Desk):
    assert [desk.save(1), desk.save(2, editor=OTHERS), desk.save(3)] == [2, 3, 4]


def test_a_save_that_somebody_asks_for_is_a_version_of_its_own(desk: Desk):
    assert [desk.save(1, editor=None), desk.save(2), desk.save(3, editor=None), desk.save(4)] == [2, 3, 4, 5]


def test_a_restored_version_stays_in_the_history(desk: Desk):
    desk.save(1)
    with session_scope() as session:
        workflow_versions.restore(session, session.get_one(User, desk.user_id), desk.workflow_id, 1)
    assert desk.save(2) == 4


def test_a_version_that_a_run_used_is_not_replaced(desk: Desk):
    desk.save(1)
    run = desk.run()
    assert [desk.save(2), desk.save(3)] == [3, 3]
    assert (desk.size_of(run), desk.listed()) == (1, [(3, 3), (2, 1), (1, 0)])


def test_the_database_lets_a_version_become_unlisted_and_nothing_else(desk: Desk):
    desk.save(1)
    for change in ("graph = '{}'", "number = 9", "number = NULL, graph = '{}'", "number = NULL, editor = NULL"):
        with pytest.raises(DBAPIError), session_scope() as session:
            session.execute(text(f"UPDATE workflow_versions SET {change} WHERE number = 2"))
    with session_scope() as session:
        session.execute(text("UPDATE workflow_versions SET number = NULL WHERE number = 2"))
    with pytest.raises(DBAPIError), session_scope() as session:
        session.execute(text("UPDATE workflow_versions SET number = 2 WHERE number IS NULL"))


@pytest.mark.parametrize("read", [newest, latest_again], ids=["newest", "again"])
def test_a_save_waits_for_a_run_that_has_read_its_version(desk: Desk, read: Read):
    """A run is accepted of the version that was read, which therefore stays in the history."""
    desk.save(1)
    with session_scope() as session:
        owner = session.get_one(User, desk.user_id)
        seen = read(session, owner, desk.workflow_id)
        saver = threading.Thread(target=lambda: desk.save(2))
        saver.start()
        saver.join(0.5)
        run = _accept(session, owner, desk, seen)
    saver.join(20)
    assert (desk.number_of(run), desk.size_of(run)) == (2, 1)
    assert desk.listed() == [(3, 2), (2, 1), (1, 0)]


@pytest.mark.parametrize("read", [newest, latest_again], ids=["newest", "again"])
def test_a_run_that_waits_for_a_save_takes_the_saved_version(desk: Desk, read: Read):
    desk.save(1)
    runs: list[UUID] = []

    def run() -> None:
        with session_scope() as session:
            owner = session.get_one(User, desk.user_id)
            runs.append(_accept(session, owner, desk, read(session, owner, desk.workflow_id)))

    with SessionFactory() as session:
        owner = session.get_one(User, desk.user_id)
        workflows.update(session, owner, desk.workflow_id, graph=graph(2), editor=MINE)
        runner = threading.Thread(target=run)
        runner.start()
        runner.join(0.5)
        session.commit()
    runner.join(20)
    assert [(desk.number_of(run), desk.size_of(run)) for run in runs] == [(2, 2)]
    assert desk.listed() == [(2, 2), (1, 0)]


def _accept(session: Any, owner: User, desk: Desk, seen: runnable.Runnable) -> UUID:
    """Accept a run as `executions.submit` does after it has read the version."""
    return submission.insert_execution(
        session,
        owner,
        RunRequest(desk.workflow_id, PLANS[owner.subscription_tier].priority),
        version_id=seen.id,
        workflow_name="W",
        credits_cap=Decimal(2),
        nodes_total=seen.node_count,
        timeout_seconds=None,
        queue_seconds=60,
    ).id


def test_a_save_waits_for_a_run_that_is_being_accepted(desk: Desk):
    desk.save(1)
    with SessionFactory() as session:
        run = executions.submit(session, session.get_one(User, desk.user_id), desk.workflow_id).id
        saver = threading.Thread(target=lambda: desk.save(2))
        saver.start()
        saver.join(0.5)
        assert saver.is_alive()
        session.commit()
    saver.join(20)
    assert (desk.size_of(run), desk.listed()) == (1, [(3, 2), (2, 1), (1, 0)])


def test_saves_and_runs_at_once_never_change_what_a_run_follows(desk: Desk):
    desk.save(1)
    sizes: dict[UUID, int] = {}

    def act(number: int) -> None:
        if number % 2:
            run = desk.run()
            sizes[run] = desk.size_of(run)
            assert desk.number_of(run) is not None
        else:
            desk.save(1 + number % 9)

    at_once(24, act)
    assert {run: desk.size_of(run) for run in sizes} == sizes
    numbers = [number for number, _ in desk.listed()]
    assert numbers == list(range(len(numbers), 0, -1))
    with session_scope() as session:
        used = select(Execution.version_id)
        unlisted = select(WorkflowVersion.id).where(WorkflowVersion.number.is_(None))
        assert len(session.scalars(unlisted).all()) <= 12
        assert set(session.scalars(used)) <= set(session.scalars(select(WorkflowVersion.id)))
