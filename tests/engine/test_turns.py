"""One user's flood does not keep others waiting: runs take turns, and whoever waits for one is rung for."""

from uuid import UUID

from models.db import session_scope
from models.execution import Execution
from models.rules.pricing import PLANS, Priority, Tier
from models.services import executions, leases, sweeps
from models.services.turns import IN_QUEUES
from models.user import User
from tests import factories
from tests.engine.conftest import Bench, call
from workers.engine.endings import Left

ROOM = PLANS[Tier.FREE].concurrent_runs


def claim(execution_id: UUID) -> bool:
    with session_scope() as session:
        return leases.claim(session, execution_id, owner="worker", seconds=30) is not None


def test_no_more_runs_of_a_user_are_driven_than_the_tier_allows(bench: Bench):
    runs = [bench.submit([call("a")]) for _ in range(ROOM + 2)]
    assert [claim(run) for run in runs] == [True] * ROOM + [False] * 2
    assert bench.execution(runs[-1]).status == "queued"


def submit(user_id: UUID, workflow_id: UUID) -> Execution:
    with session_scope() as session:
        return executions.submit(session, session.get_one(User, user_id), workflow_id)


def test_of_a_flood_only_the_first_runs_are_in_the_queue_and_each_that_ends_rings_for_the_next(bench: Bench):
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        workflow_id = factories.workflow(session, owner, graph={"nodes": [call("a")], "connections": []}).id
    runs = [submit(bench.user_id, workflow_id) for _ in range(4 * ROOM)]
    deferred = [run.deferred_at is not None for run in runs]
    assert deferred == [False] * IN_QUEUES * ROOM + [True] * (4 - IN_QUEUES) * ROOM
    bells = [run.id for run in runs if not run.deferred_at]
    while bells:
        assert bench.runtime.drive(bells[0]) is Left.ENDED
        with session_scope() as session:
            turn = sweeps.turn_after(session, bells.pop(0))
        bells += [turn[0]] if turn else []
    assert {bench.execution(run.id).status for run in runs} == {"success"}
    assert submit(bench.user_id, workflow_id).deferred_at is None


def test_a_run_does_not_overtake_those_of_its_owner_that_wait_for_a_turn(bench: Bench):
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        workflow_id = factories.workflow(session, owner).id
    first = submit(bench.user_id, workflow_id)
    bench.sql("UPDATE workflow_executions SET deferred_at = now() WHERE id = :id", id=first.id)
    assert submit(bench.user_id, workflow_id).deferred_at is not None
    with session_scope() as session:
        other = factories.user(session)
        workflow_id = factories.workflow(session, other).id
    assert submit(other.id, workflow_id).deferred_at is None


def test_another_user_is_not_kept_waiting(bench: Bench):
    for _ in range(ROOM + 5):
        claim(bench.submit([call("a")]))
    with session_scope() as session:
        other = factories.execution(session, factories.workflow(session, factories.user(session))).id
    assert claim(other)


def test_many_claims_at_once_do_not_pass_the_limit(bench: Bench):
    bench.world.on("a", bench.world.hang)
    runs = [bench.submit([call("a")]) for _ in range(ROOM * 3)]
    waits = [bench.in_background(run) for run in runs]
    bench.world.arrived.wait(10)
    bench.world.release.set()
    ended = [wait() for wait in waits]
    assert ended.count(Left.ENDED) >= ROOM
    assert bench.world.most_at_once <= ROOM


def test_whoever_was_passed_over_is_next_the_oldest_first(bench: Bench):
    runs = [bench.submit([call("a")]) for _ in range(ROOM + 2)]
    for run in runs:
        claim(run)
    with session_scope() as session:
        assert sweeps.turn_after(session, runs[0]) == (runs[ROOM], Priority.LOW)
        assert sweeps.turn_after(session, runs[0]) == (runs[ROOM + 1], Priority.LOW)
        assert sweeps.turn_after(session, runs[0]) is None


def test_a_turn_that_nobody_rang_for_is_found_by_the_sweep(bench: Bench):
    runs = [bench.submit([call("a")]) for _ in range(ROOM + 2)]
    for run in runs:
        claim(run)
    assert forgotten() == []
    bench.sql(
        "UPDATE workflow_executions SET status = 'failed', finished_at = now(), lease_expires_at = NULL WHERE id = :id",
        id=runs[0],
    )
    bench.sql("UPDATE credit_holds SET status = 'released', settled_at = now() WHERE execution_id = :id", id=runs[0])
    bench.sql("UPDATE credits SET held = held - 100 WHERE user_id = :id", id=bench.user_id)
    assert forgotten() == [runs[ROOM]]


def test_those_who_wait_for_a_turn_are_not_rung_for_over_and_over(bench: Bench):
    runs = [bench.submit([call("a")]) for _ in range(ROOM + 1)]
    for run in runs:
        claim(run)
    bench.sql("UPDATE workflow_executions SET created_at = now() - interval '1 hour'")
    with session_scope() as session:
        assert sweeps.due(session) == []


def forgotten() -> list[UUID]:
    with session_scope() as session:
        return [execution_id for execution_id, _ in sweeps.forgotten_turns(session)]
