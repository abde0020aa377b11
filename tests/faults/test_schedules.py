"""A time of a schedule starts one run, whatever happens to beats, workers and Redis meanwhile."""

import signal
from uuid import UUID

import pytest

from models.db import session_scope
from models.services.schedules import schedules
from models.tables import User
from tasks.queue import QueueName, TaskMessage, TaskName
from tests.support import factories
from tests.support.engine.bench import connect_all
from tests.support.faults.programs import eventually
from tests.support.faults.world import World

pytestmark = pytest.mark.faults

EARLIER = "now() - interval '1 minute'"


def scheduled(world: World, tag: str, number: int) -> list[UUID]:
    """So many schedules that are due, of one workflow that calls the counting server under `tag`."""
    graph = {"nodes": [world.call("a", tag=tag)], "connections": connect_all()}
    with session_scope() as session:
        owner = session.get_one(User, world.user())
        workflow = factories.workflow(session, owner, graph=graph, worst_case=20)
        times = {"cron": "0 7 * * *", "time_zone": "UTC"}
        ids = [schedules.create(session, owner, workflow.id, **times).id for _ in range(number)]
    world.sql(f"UPDATE workflow_schedules SET next_run_at = {EARLIER} WHERE id = ANY(%s::uuid[])", list(map(str, ids)))
    return ids


def started(world: World, ids: list[UUID]) -> list[UUID]:
    """The runs that these schedules started."""
    found = "SELECT id FROM workflow_executions WHERE schedule_id = ANY(%s::uuid[])"
    return [UUID(str(run)) for (run,) in world.sql(found, list(map(str, ids)))]


def finish_all(world: World, ids: list[UUID], tag: str, *, sweep: bool) -> None:
    """Wait for the runs of all times, and see that each called once."""
    eventually(lambda: len(started(world, ids)) == len(ids))
    world.finish(*started(world, ids), sweep=sweep)
    assert len(started(world, ids)) == len(ids)
    assert world.outside.times(f"{tag}/") == {f"{tag}/a": len(ids)}


def tick(world: World) -> None:
    """Send the message that beat sends every five seconds."""
    world.broker(TaskMessage(TaskName.START_SCHEDULED, QueueName.MAINTENANCE))


def test_two_beats_and_two_workers_start_each_time_once(world: World):
    for program in (world.worker(hooked=False), world.worker(hooked=False), world.beat(), world.beat()):
        program.ready()
    finish_all(world, scheduled(world, "scheduled", 20), "scheduled", sweep=False)


@pytest.mark.parametrize("point", ["schedule-claimed", "schedule-submitted", "publishing"])
def test_a_worker_killed_at_any_point_starts_each_time_once(world: World, point: str):
    doomed = world.worker().ready()
    tag = f"killed-{point}"
    ids = scheduled(world, tag, 5)
    world.arm(point)
    eventually(lambda: tick(world) or not doomed.alive, pause=0.5)
    assert doomed.wait() == -signal.SIGKILL
    assert len(started(world, ids)) == (1 if point == "publishing" else 0)
    world.worker(hooked=False).ready()
    world.beat()
    finish_all(world, ids, tag, sweep=False)


def test_runs_that_start_while_redis_is_away_go_on_when_it_is_back(world: World):
    world.worker().ready()
    ids = scheduled(world, "no-redis", 5)
    world.arm("schedule-submitted", "sleep 2")
    tick(world)
    eventually(lambda: world.taken("schedule-submitted"))
    world.redis.stop()
    try:
        eventually(lambda: len(started(world, ids)) == len(ids))
    finally:
        world.redis.start()
    world.beat()
    finish_all(world, ids, "no-redis", sweep=False)
