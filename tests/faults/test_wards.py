"""Runs that are believed to kill workers, in processes of their own: the guilty end there, the innocent go on."""

import signal
import time
from decimal import Decimal
from uuid import UUID

import psutil
import pytest

from models.db import session_scope
from models.execution import Execution
from models.services import executions
from models.user import User
from tests.factories import node
from tests.faults.programs import eventually
from tests.faults.world import World

CHARGE = Decimal("1.10")  # one node and the run


def under_suspicion(world: World, *nodes, **rest) -> UUID:
    """A run that two workers died of, as far as its row says."""
    execution_id = world.submit(list(nodes), ring=False, **rest)
    world.sql("UPDATE workflow_executions SET suspicion = 3, crashes = 2 WHERE id = %s", execution_id)
    world.ring(execution_id)
    return execution_id


def ward_of(world: World, execution_id: UUID) -> psutil.Process:
    """The process that drives a run, once that is a ward."""

    def owner() -> str:
        return world.sql("SELECT coalesce(lease_owner, '') FROM workflow_executions WHERE id = %s", execution_id)[0][0]

    eventually(lambda: owner().startswith("ward:"))
    return psutil.Process(int(owner().rpartition(":")[2]))


def gone(process: psutil.Process) -> bool:
    """Whether it has ended, whoever has to reap it."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


class TestGuilty:
    @pytest.mark.faults
    def test_a_poison_takes_two_workers_down_then_its_ward_and_no_third(self, world: World):
        workers = [world.worker().ready()]
        neighbours = world.submit_many([world.call("b", tag="beside", delay=5)], number=10)
        world.outside.await_call("beside/b", times=10)
        poison = world.submit([world.call("poison")])
        assert workers[0].wait() == 70
        workers += [world.worker().ready(), world.worker().ready()]
        eventually(lambda: world.sweep() or world.ring(poison) or world.over(poison), 60, pause=0.3)
        world.finish(*neighbours)
        assert sorted(str(worker.process.poll()) for worker in workers) == ["70", "70", "None"]
        run = world.run(poison)
        assert (run["status"], run["error"]["code"], run["credits_charged"]) == ("failed", "quarantined", 0)
        assert "Driven alone, it ended its process with exit status 70." in run["error"]["message"]
        assert {world.status(run) for run in neighbours} == {"success"}
        letters = world.sql("SELECT crashes FROM quarantined_runs WHERE execution_id = %s", poison)
        assert [[crash["worker"].startswith("ward:") for crash in crashes] for (crashes,) in letters] == [
            [False, False, True]
        ]

    @pytest.mark.faults
    def test_one_that_kills_later_than_it_is_watched_takes_no_third_worker_either(self, world: World):
        poison = world.submit([world.call("late-poison")], ring=False)
        for _ in range(2):
            worker = world.worker().ready()
            eventually(lambda worker=worker: world.ring(poison) or world.sweep() or not worker.alive, 60, pause=0.3)
            assert worker.wait() == 70
        last = world.worker().ready()
        eventually(lambda: world.sweep() or world.over(poison), 60, pause=0.3)
        run = world.run(poison)
        assert (run["error"]["code"], run["crashes"], last.alive) == ("quarantined", 2, True)


class TestInnocent:
    @pytest.mark.faults
    def test_a_run_whose_workers_were_killed_twice_while_it_was_watched_succeeds_and_is_charged_once(
        self, world: World
    ):
        execution_id = world.submit([world.call("b", tag="unlucky")], ring=False)
        for _ in range(2):
            worker = world.worker().ready()
            world.arm("loaded")
            world.ring(execution_id)
            eventually(lambda worker=worker: world.sweep() or not worker.alive, pause=0.3)
        assert world.run(execution_id)["suspicion"] == 2
        world.worker().ready()
        world.finish(execution_id)
        assert (world.status(execution_id), world.charged(execution_id)) == ("success", CHARGE)
        assert world.sql("SELECT max((data->>'driver')::int) FROM execution_events") >= [(4,)]

    @pytest.mark.faults
    def test_kill_9_of_the_worker_while_its_ward_drives_convicts_nobody(self, world: World):
        worker = world.worker().ready()
        execution_id = under_suspicion(world, world.call("b", tag="orphan", delay=3))
        world.outside.await_call("orphan/b")
        ward = ward_of(world, execution_id)
        worker.signal(signal.SIGKILL)  # it alone: nobody tells the ward
        assert eventually(lambda: gone(ward)) < 8
        run = world.run(execution_id)
        assert (run["status"], run["suspicion"], run["crashes"]) == ("queued", 3, 2)
        world.worker().ready()
        world.finish(execution_id)
        assert (world.status(execution_id), world.charged(execution_id)) == ("success", CHARGE)

    @pytest.mark.faults
    def test_kill_9_of_both_at_once_convicts_nobody(self, world: World):
        worker = world.worker().ready()
        execution_id = under_suspicion(world, world.call("b", tag="both", delay=3))
        world.outside.await_call("both/b")
        ward = ward_of(world, execution_id)
        worker.kill()
        eventually(lambda: gone(ward))
        world.worker().ready()
        world.finish(execution_id)
        assert (world.status(execution_id), world.charged(execution_id)) == ("success", CHARGE)

    @pytest.mark.faults
    def test_kill_9_of_a_ward_alone_convicts_at_the_second_time(self, world: World):
        world.worker().ready()
        once, twice = (under_suspicion(world, world.call("b", tag=tag, delay=3)) for tag in ("once", "twice"))
        for doomed in (once, twice), (twice,):
            for execution_id in doomed:
                ward_of(world, execution_id).kill()
            for execution_id in doomed:
                eventually(lambda execution_id=execution_id: world.status(execution_id) != "running")
                world.ring(execution_id)  # the sweep would in a minute
        world.finish(once, twice)
        assert (world.status(once), world.status(twice)) == ("success", "failed")
        assert "by signal 9 (SIGKILL)" in world.run(twice)["error"]["message"]

    @pytest.mark.faults
    def test_a_worker_that_is_told_to_leave_takes_its_ward_along(self, world: World):
        worker = world.worker(env={"LEASE_SECONDS": "300", "HEARTBEAT_SECONDS": "100"}).ready()
        execution_id = under_suspicion(world, world.call("b", tag="leaving", delay=3))
        world.outside.await_call("leaving/b")
        ward = ward_of(world, execution_id)
        begun = time.monotonic()
        assert worker.signal(signal.SIGTERM).wait(20) == 0
        assert time.monotonic() - begun < 10
        assert gone(ward)
        run = world.run(execution_id)
        assert (run["status"], run["suspicion"], run["crashes"]) == ("queued", 3, 2)
        world.worker().ready()
        world.finish(execution_id, sweep=False)  # it was rung for
        assert (world.status(execution_id), world.charged(execution_id)) == ("success", CHARGE)

    @pytest.mark.faults
    def test_a_ward_that_cannot_be_started_proves_nothing(self, world: World):
        world.worker().ready()
        for fault in ("refuse", "kill"):  # by the system; by chance, before it has the run
            world.arm("ward-starting" if fault == "refuse" else "ward-started", fault)
        execution_id = under_suspicion(world, world.call("b", tag="unstarted"))
        for point in ("ward-starting", "ward-started"):
            eventually(lambda point=point: world.taken(point))
            eventually(lambda: world.status(execution_id) == "queued")
            world.ring(execution_id)  # the sweep would in a minute
        world.finish(execution_id)
        assert (world.status(execution_id), world.charged(execution_id)) == ("success", CHARGE)


class TestCancel:
    def test_a_cancel_reaches_a_run_in_a_ward_within_two_seconds(self, world: World):
        world.worker().ready()
        world.outside.hold("stop/b")
        execution_id = under_suspicion(world, world.call("b", tag="stop"))
        world.outside.await_call("stop/b")
        ward = ward_of(world, execution_id)
        assert cancelled(world, execution_id) < 2
        assert eventually(lambda: gone(ward)) < 8
        world.outside.release("stop/b")

    @pytest.mark.faults
    def test_a_ward_does_not_leave_before_the_turn_that_it_gave_up_is_stopped(self, world: World):
        world.worker().ready()
        world.arm("stopping", "sleep 1")
        execution_id = under_suspicion(world, node("a", "ai_agent", config={"prompt": "[[sim:hang]] Wait."}))
        eventually(lambda: world.openclaw.active() == 1)
        assert cancelled(world, execution_id) < 2
        eventually(lambda: world.openclaw.active() == 0, 10)

    @pytest.mark.faults
    def test_and_one_that_stands_in_line_for_a_ward(self, world: World):
        world.worker().ready()
        world.outside.hold("busy/b")
        inside = [under_suspicion(world, world.call("b", tag="busy")) for _ in range(2)]
        world.outside.await_call("busy/b", times=2)
        waiting = under_suspicion(world, world.call("b", tag="waiting"))
        eventually(lambda: world.status(waiting) == "running")
        assert cancelled(world, waiting) < 2
        world.outside.release("busy/b")
        world.finish(*inside)
        assert world.outside.times("waiting") == {}


def cancelled(world: World, execution_id: UUID) -> float:
    """Ask for a run's end as the API does; seconds until it has come."""
    with session_scope() as session:
        owner = session.get_one(User, session.get_one(Execution, execution_id).user_id)
        executions.request_cancel(session, owner, execution_id)
    return eventually(lambda: world.status(execution_id) == "cancelled")
