"""Users' storage is measured from their rows, and a full tier stores nothing more."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.rules.executions.states import ExecutionStatus
from models.rules.prices.pricing import Tier
from models.services.credits import storage
from models.services.executions import executions
from models.services.workflows import templates, workflows
from models.tables import User
from tests.support import factories

FULL = 100 * storage.MB
NOISE = random.Random(1).randbytes(50_000).hex()  # which does not compress well
GRAPH = factories.chain(factories.node("start", "input"), factories.node("end", "output"))


def say(session: Session, user: User, stored: int, age: str = "0") -> None:
    """Let the last measurement be so many bytes."""
    session.execute(
        text("""
            INSERT INTO storage_used (user_id, bytes, measured_at)
            VALUES (:user, :stored, now() - CAST(:age AS interval))
            ON CONFLICT (user_id) DO UPDATE SET bytes = :stored, measured_at = excluded.measured_at, wanted_at = NULL
        """),
        {"user": user.id, "stored": stored, "age": age},
    )


def test_measures_live_workflows_templates_and_runs(session: Session) -> None:
    user = factories.user(session)
    workflow = factories.workflow(session, user)
    before = storage.measure(session, user.id)
    executions.submit(session, user, workflow.id, input=NOISE)
    with_run = storage.measure(session, user.id)
    assert with_run - before > len(NOISE)
    templates.create(session, user, name="Mine", category="test", graph=GRAPH)
    with_template = storage.measure(session, user.id)
    assert with_template > with_run
    assert storage.measure(session, factories.user(session).id) == 0


def test_a_deleted_workflow_gives_back_what_its_ended_runs_keep(session: Session) -> None:
    user = factories.user(session)
    workflow = factories.workflow(session, user)
    over = {"status": ExecutionStatus.SUCCESS, "stored_bytes": 5_000_000}
    factories.execution(session, workflow, **over)
    running = factories.execution(session, workflow, status=ExecutionStatus.RUNNING, stored_bytes=700)
    say(session, user, FULL)
    workflows.delete(session, user, workflow.id)
    storage.require_room(session, user)
    assert storage.measure_wanted(session) in (0, 1)
    assert storage.used(session, user.id) == running.stored_bytes


def another() -> dict[str, Any]:
    return factories.chain(factories.node(f"n{random.randrange(10**9)}", "input"))


STORING: dict[str, Callable[[Session, User, Any], Any]] = {
    "a workflow": lambda s, u, _: workflows.create(s, u, name="New", graph=GRAPH),
    "another version": lambda s, u, w: workflows.update(s, u, w, graph=another()),
    "a template": lambda s, u, _: templates.create(s, u, name="New", category="test", graph=GRAPH),
    "a run": lambda s, u, w: executions.submit(s, u, w, input=1),
}


@pytest.mark.parametrize("what", STORING)
def test_keeps_nothing_more_for_who_is_full(session: Session, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    user = factories.user(session)
    workflow_id = factories.workflow(session, user).id
    STORING[what](session, user, workflow_id)
    say(session, user, FULL)
    monkeypatch.setattr(storage, "measure", lambda *_: FULL)
    with pytest.raises(storage.StorageLimitReached, match=r"The free tier allows 100 MB, and you store 100\.0 MB"):
        STORING[what](session, user, workflow_id)


def test_lets_in_at_once_who_has_made_room(session: Session) -> None:
    user = factories.user(session)
    say(session, user, FULL)
    storage.require_room(session, user)
    assert storage.used(session, user.id) == 0


def test_another_tier_has_other_room(session: Session) -> None:
    user = factories.user(session, tier=Tier.PREMIUM)
    say(session, user, FULL)
    storage.require_room(session, user)
    assert storage.used(session, user.id) == FULL


def test_the_sweep_replaces_an_old_measurement_but_not_a_fresh_one(session: Session) -> None:
    user, other = factories.user(session), factories.user(session)
    say(session, user, 5, age="2 minutes")
    say(session, other, 5)
    for somebody in (user, user, other):
        storage.require_room(session, somebody)
    assert storage.measure_wanted(session) == 1
    assert (storage.used(session, user.id), storage.used(session, other.id)) == (0, 5)
    assert storage.measure_wanted(session) == 0
