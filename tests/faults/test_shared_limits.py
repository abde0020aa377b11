"""A gateway's limit holds for all workers together, is used, and is free again when a worker was killed."""

import time

import pytest

from tests.support import factories
from tests.support.faults.programs import Program, eventually, measured
from tests.support.faults.world import LEASE, World

MOST = 4
ENV = {"OPENCLAW_MAX_IN_FLIGHT": str(MOST)}


pytestmark = pytest.mark.faults


@pytest.fixture
def workers(world: World) -> list[Program]:
    """Two, which share a limit."""
    started = [world.worker(hooked=False, threads=32, env=ENV) for _ in range(2)]
    world.openclaw.most_active()  # forget what earlier tests did
    return [worker.ready() for worker in started]


def turn(seconds: float) -> dict:
    return factories.node("a", "ai_agent", config={"prompt": f"[[sim:delay={seconds}]] Count these words."})


def drivers(world: World, runs: list) -> set[str]:
    rows = world.sql(
        "SELECT lease_owner FROM workflow_executions WHERE id = ANY(%s::uuid[])", [str(run) for run in runs]
    )
    return {owner for (owner,) in rows if owner}


def test_two_workers_never_exceed_it_and_use_nearly_all_of_it(world: World, workers: list[Program]):
    began, seconds, number = time.monotonic(), 1.5, 24
    runs = world.submit_many([turn(seconds)], number=number, owner=world.user())
    eventually(lambda: len(drivers(world, runs)) == 2)
    world.finish(*runs)
    took = time.monotonic() - began
    assert {world.status(run) for run in runs} == {"success"}
    assert world.openclaw.most_active() == MOST
    used = number * seconds / (MOST * took)
    measured(f"{number} turns of {seconds} s in {took:.1f} s: {100 * used:.0f} % of {MOST} places")
    assert used > 0.5


def test_places_of_a_killed_worker_come_back_and_its_turns_count_meanwhile(world: World, workers: list[Program]):
    runs = world.submit_many([turn(6)], number=3 * MOST, owner=world.user())
    eventually(lambda: world.openclaw.active() == MOST and len(drivers(world, runs)) == 2)
    workers[0].kill()
    world.finish(*runs)
    assert {world.status(run) for run in runs} == {"success"}
    assert world.openclaw.most_active() == MOST
    assert len(world.openclaw.calls) >= 3 * MOST


def test_it_holds_while_redis_is_away_and_when_it_comes_back_empty(world: World, workers: list[Program]):
    runs = world.submit_many([turn(3)], number=5 * MOST, owner=world.user())
    eventually(lambda: world.openclaw.active() == MOST)
    world.redis.stop()
    try:
        time.sleep(2 * LEASE)  # so that the places have expired
        assert len(world.openclaw.calls) > MOST  # their shares are used
        world.redis.forget()
    finally:
        world.redis.start()
    world.pass_time()
    world.finish(*runs)
    assert {world.status(run) for run in runs} == {"success"}
    assert world.openclaw.most_active() == MOST
