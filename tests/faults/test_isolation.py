"""Runs suspected to kill workers, in isolated processes: harmful ones end there, harmless ones go on."""

import signal
import time
from decimal import Decimal
from uuid import UUID

import psutil
import pytest

from models.db import session_scope
from models.services.executions import executions
from models.tables import Execution, User
from tests.support.factories import node
from tests.support.faults.programs import LIMIT_SECONDS, eventually
from tests.support.faults.world import World

CHARGE = Decimal("1.10")  # one node and the run


def under_suspicion(world: World, *nodes, **rest) -> UUID:
    """A run that two workers died of, as far as its row says."""
    execution_id = world.submit(list(nodes), publish=False, **rest)
    world.sql("UPDATE workflow_executions SET crash_state = 'isolated' WHERE id = %s", execution_id)
    world.enqueue(execution_id)
    return execution_id


def isolated_process_of(world: World, execution_id: UUID) -> psutil.Process:
    """The process that drives a run, once it is an isolated one."""

    def owner() -> str:
        return world.sql("SELECT coalesce(lease_owner, '') FROM workflow_executions WHERE id = %s", execution_id)[0][0]

    eventually(lambda: owner().startswith("isolated:"))
    return psutil.Process(int(owner().rpartition(":")[2]))


def gone(process: psutil.Process) -> bool:
    """Whether the process has ended, reaped or not."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def goes_on(world: World, execution_id: UUID) -> None:
    """Let another worker come: the run succeeds and is charged once."""
    world.worker().ready()
    world.finish(execution_id)
    assert (world.status(execution_id), world.charged(execution_id)) == ("success", CHARGE)


class TestHarmfulRuns:
    @pytest.mark.faults
    def test_a_poison_takes_two_workers_down_then_its_process_and_no_third(self, world: World):
        workers = [world.worker().ready()]
        neighbours = world.submit_many([world.call("b", tag="beside", delay=5)], number=10)
        world.outside.await_call("beside/b", times=10)
        poison = world.submit([world.call("poison")])
        assert workers[0].wait() == 70
        workers += [world.worker().ready(), world.worker().ready()]
        eventually(lambda: world.sweep() or world.enqueue(poison) or world.over(poison), 3 * LIMIT_SECONDS, pause=0.3)
        world.finish(*neighbours)
        assert sorted(str(worker.process.poll()) for worker in workers) == ["70", "70", "None"]
        run = world.run(poison)
        assert (run["status"], run["error"]["code"], run["credits_charged"]) == ("failed", "quarantined", 1)
        assert "Driven alone, it ended its process with exit status 70." in run["error"]["message"]
        assert {world.status(run) for run in neighbours} == {"success"}
        letters = world.sql("SELECT crashes FROM quarantined_runs WHERE execution_id = %s", poison)
        assert [[crash["worker"].startswith("isolated:") for crash in crashes] for (crashes,) in letters] == [
            [False, False, True]
        ]

    @pytest.mark.faults
    def test_one_that_kills_late_takes_no_third_worker_either(self, world: World):
        poison = world.submit([world.call("late-poison")], publish=False)
        for _ in range(2):
            worker = world.worker().ready()
            eventually(lambda worker=worker: world.enqueue(poison) or world.sweep() or not worker.alive, pause=0.3)
            assert worker.wait() == 70
        last = world.worker().ready()
        eventually(lambda: world.sweep() or world.over(poison), pause=0.3)
        run = world.run(poison)
        assert (run["error"]["code"], len(run["crash_log"]), last.alive) == ("quarantined", 3, True)


class TestHarmlessRuns:
    @pytest.mark.faults
    def test_a_run_whose_workers_die_twice_by_chance_is_charged_once(self, world: World):
        execution_id = world.submit([world.call("b", tag="unlucky")], publish=False)
        for _ in range(2):
            worker = world.worker().ready()
            world.arm("loaded")
            world.enqueue(execution_id)
            eventually(lambda worker=worker: world.sweep() or not worker.alive, pause=0.3)
        assert world.run(execution_id)["crash_state"] == "suspected"
        goes_on(world, execution_id)
        assert world.sql("SELECT max((data->>'driver')::int) FROM execution_events") >= [(4,)]

    @pytest.mark.faults
    def test_sigkill_of_the_worker_of_an_isolated_process_proves_nothing(self, world: World):
        worker = world.worker().ready()
        execution_id = under_suspicion(world, world.call("b", tag="orphan", delay=3))
        world.outside.await_call("orphan/b")
        process = isolated_process_of(world, execution_id)
        worker.signal(signal.SIGKILL)  # it alone: nobody tells the isolated process
        assert eventually(lambda: gone(process)) < 8
        run = world.run(execution_id)
        assert (run["status"], run["crash_state"]) == ("queued", "isolated")
        goes_on(world, execution_id)

    @pytest.mark.faults
    def test_sigkill_of_both_at_once_proves_nothing(self, world: World):
        worker = world.worker().ready()
        execution_id = under_suspicion(world, world.call("b", tag="both", delay=3))
        world.outside.await_call("both/b")
        process = isolated_process_of(world, execution_id)
        worker.kill()
        eventually(lambda: gone(process))
        goes_on(world, execution_id)

    @pytest.mark.faults
    def test_the_second_sigkill_of_an_isolated_process_quarantines(self, world: World):
        world.worker().ready()
        once, twice = (under_suspicion(world, world.call("b", tag=tag, delay=3)) for tag in ("once", "twice"))
        for doomed in (once, twice), (twice,):
            for execution_id in doomed:
                isolated_process_of(world, execution_id).kill()
            for execution_id in doomed:
                eventually(lambda execution_id=execution_id: world.status(execution_id) != "running")
                world.enqueue(execution_id)  # the sweep would in a minute
        world.finish(once, twice)
        assert (world.status(once), world.status(twice)) == ("success", "failed")
        assert "by signal 9 (SIGKILL)" in world.run(twice)["error"]["message"]

    @pytest.mark.faults
    def test_a_worker_that_shuts_down_stops_its_isolated_process(self, world: World):
        worker = world.worker(env={"LEASE_SECONDS": "300", "HEARTBEAT_SECONDS": "100"}).ready()
        execution_id = under_suspicion(world, world.call("b", tag="leaving", delay=3))
        world.outside.await_call("leaving/b")
        process = isolated_process_of(world, execution_id)
        begun = time.monotonic()
        assert worker.signal(signal.SIGTERM).wait() == 0
        assert time.monotonic() - begun < 10
        assert gone(process)
        run = world.run(execution_id)
        assert (run["status"], run["crash_state"]) == ("queued", "isolated")
        world.worker().ready()
        world.finish(execution_id, sweep=False)  # it was enqueued
        assert (world.status(execution_id), world.charged(execution_id)) == ("success", CHARGE)

    @pytest.mark.faults
    def test_an_isolated_process_that_cannot_be_started_proves_nothing(self, world: World):
        world.worker().ready()
        for fault in ("refuse", "kill"):  # by the system; by chance, before it has the run
            world.arm("isolation-starting" if fault == "refuse" else "isolation-started", fault)
        execution_id = under_suspicion(world, world.call("b", tag="unstarted"))
        for point in ("isolation-starting", "isolation-started"):
            eventually(lambda point=point: world.taken(point))
            eventually(lambda: world.status(execution_id) == "queued")
            world.enqueue(execution_id)  # the sweep would in a minute
        world.finish(execution_id)
        assert (world.status(execution_id), world.charged(execution_id)) == ("success", CHARGE)


class TestCancel:
    def test_a_cancel_reaches_a_run_in_an_isolated_process_within_two_seconds(self, world: World):
        world.worker().ready()
        world.outside.hold("stop/b")
        execution_id = under_suspicion(world, world.call("b", tag="stop"))
        world.outside.await_call("stop/b")
        process = isolated_process_of(world, execution_id)
        assert cancelled(world, execution_id) < 2
        assert eventually(lambda: gone(process)) < 8
        world.outside.release("stop/b")

    @pytest.mark.faults
    def test_an_isolated_process_stops_its_given_up_turn_before_it_exits(self, world: World):
        world.worker().ready()
        world.arm("stopping", "sleep 1")
        execution_id = under_suspicion(world, node("a", "ai_agent", config={"prompt": "[[sim:hang]] Wait."}))
        eventually(lambda: world.openclaw.active() == 1)
        assert cancelled(world, execution_id) < 2
        eventually(lambda: world.openclaw.active() == 0)

    @pytest.mark.faults
    def test_and_one_that_waits_in_the_queue_for_a_process(self, world: World):
        world.worker().ready()
        world.outside.hold("busy/b")
        inside = [under_suspicion(world, world.call("b", tag="busy")) for _ in range(2)]
        world.outside.await_call("busy/b", times=2)
        waiting = under_suspicion(world, world.call("b", tag="waiting"))
        eventually(lambda: world.status(waiting) == "running")
        assert cancelled(world, waiting) < 2
        world.outside.release("busy/b")
        world.finish(*inside)
        assert world.outside.times("waiting/") == {}


def cancelled(world: World, execution_id: UUID) -> float:
    """Ask for a run's end as the API does; seconds until it has come."""
    with session_scope() as session:
        owner = session.get_one(User, session.get_one(Execution, execution_id).user_id)
        executions.request_cancel(session, owner, execution_id)
    return eventually(lambda: world.status(execution_id) == "cancelled")
