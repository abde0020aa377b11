"""Workers that are killed, paused, told to leave or driven mad: all that was accepted ends, and is paid for, once."""

import signal
import time
from decimal import Decimal

import psutil
import pytest

from tests import factories
from tests.faults.programs import Program, eventually
from tests.faults.world import LEASE, World

CHARGE = Decimal("1.30")  # three nodes and the run
HIGH, OTHERS = "executions.high", "executions.normal,executions.low,maintenance"


class TestKilled:
    @pytest.mark.faults
    def test_a_node_that_must_not_be_repeated_is_not_and_its_run_says_why(self, world: World):
        doomed, _ = world.worker(queues=HIGH).ready(), world.worker(queues=OTHERS).ready()
        world.outside.hold("unrepeatable/a")
        execution_id = world.submit([world.call("a", tag="unrepeatable", onCrash="fail")], ring=False)
        world.ring(execution_id, HIGH)
        world.outside.await_call("unrepeatable/a")
        doomed.kill()
        world.outside.release("unrepeatable/a")
        world.finish(execution_id)
        run = world.run(execution_id)
        assert (run["status"], run["error"]["code"], run["credits_charged"]) == ("failed", "worker_died", 0)
        assert world.outside.times("unrepeatable") == {"unrepeatable/a": 1}

    @pytest.mark.faults
    def test_a_loop_goes_on_where_it_was(self, world: World):
        doomed, _ = world.worker(queues=HIGH).ready(), world.worker(queues=OTHERS).ready()
        loop = factories.node("each", "loop", config={"items": "{{ input }}", "concurrency": 1})
        visit = world.call("a", tag="loop", delay=0.3, parentId="each")
        execution_id = world.submit([loop, visit], value=list(range(8)), ring=False)
        world.ring(execution_id, HIGH)
        world.outside.await_call("loop/a", times=4)
        doomed.kill()
        world.finish(execution_id)
        assert world.run(execution_id)["credits_charged"] == Decimal("1.90")
        assert world.outside.times("loop")["loop/a"] == 9


class TestPaused:
    @pytest.mark.faults
    def test_one_that_comes_back_after_its_lease_writes_nothing_and_ends_quietly(self, world: World):
        sleeper, _ = world.worker(queues=HIGH).ready(), world.worker(queues=OTHERS).ready()
        world.outside.hold("paused/a")
        nodes = [world.call(name, tag="paused") for name in "zab"]
        execution_id = world.submit(nodes, "z>a", "a>b", ring=False)
        world.ring(execution_id, HIGH)
        world.outside.await_call("paused/a")
        sleeper.signal(signal.SIGSTOP)

        def called_again() -> bool:
            world.sweep()
            return world.outside.times("paused")["paused/a"] == 2

        eventually(called_again, pause=0.2)
        world.outside.release("paused/a")  # the sleeper has its answer as well, when it wakes up
        world.finish(execution_id)
        before = everything(world, execution_id)
        sleeper.signal(signal.SIGCONT)
        eventually(lambda: '"how":"lost"' in sleeper.output, otherwise=lambda: sleeper.output)
        assert everything(world, execution_id) == before
        assert world.outside.times("paused") == {"paused/z": 1, "paused/a": 2, "paused/b": 1}
        following = world.submit([world.call("a", tag="after-the-pause")], ring=False)
        world.ring(following, HIGH)
        eventually(lambda: world.over(following))
        assert "Traceback" not in sleeper.output


def everything(world: World, execution_id) -> list:
    """All rows that tell of a run."""
    tables = {"workflow_executions": "id", "node_executions": "execution_id", "execution_events": "execution_id"}
    tables |= {"credit_holds": "execution_id", "credit_transactions": "execution_id"}
    return [
        world.sql(f"SELECT * FROM {table} WHERE {column} = %s ORDER BY 1, 2", execution_id)
        for table, column in tables.items()
    ]


def leaving(worker: Program) -> float:
    """Tell a worker to leave as a deployment does; the seconds until it is gone, in good order."""
    begun = time.monotonic()
    assert worker.signal(signal.SIGTERM).wait(20) == 0, worker.output
    return time.monotonic() - begun


class TestToldToLeave:
    @pytest.mark.faults
    def test_a_rolling_restart_fails_nothing_and_waits_for_no_lease(self, world: World):
        patient = {"LEASE_SECONDS": "300", "HEARTBEAT_SECONDS": "100"}
        first, second = world.worker(env=patient), world.worker(env=patient)
        for worker in (first, second):
            worker.ready()
        nodes = [world.call("a", tag="roll", delay=4), world.call("b", tag="roll")]
        nodes.append(world.call("c", tag="roll", delay=4, onCrash="fail"))  # cut off, nobody would know what it did
        runs = world.submit_many(nodes, "a>b", number=6)
        for name in "ac":
            world.outside.await_call(f"roll/{name}", times=6)
        assert leaving(first) < 10
        third = world.worker(env=patient).ready()
        assert leaving(second) < 10
        world.finish(*runs, sweep=False, seconds=30)
        assert third.alive
        states = {tuple(world.run(run)[name] for name in ("status", "credits_charged", "crashes")) for run in runs}
        assert states == {("success", CHARGE, 0)}
        assert world.outside.times("roll")["roll/c"] == 6

    @pytest.mark.faults
    def test_one_after_another_under_load(self, world: World):
        workers = [world.worker().ready(), world.worker().ready()]
        runs = world.submit_many([world.call(n, tag="load", delay=0.3) for n in "zab"], "z>a", "a>b", number=60)
        for _ in range(3):
            workers.append(world.worker().ready())
            assert leaving(workers.pop(0)) < 10
        world.finish(*runs, sweep=False)
        assert world.sql(
            "SELECT DISTINCT status, crashes FROM workflow_executions WHERE id = ANY(%s::uuid[])", list(map(str, runs))
        ) == [("success", 0)]


class TestPoison:
    @pytest.mark.faults
    def test_what_kills_its_workers_is_quarantined_and_those_beside_it_go_on(self, world: World):
        neighbours = world.submit_many([world.call("b", tag="beside", delay=3 * LEASE)], number=5)
        poison = world.submit([world.call("poison")], ring=False)
        worker = world.worker().ready()
        world.outside.await_call("beside/b", times=5)
        world.ring(poison)
        assert worker.wait() == 70  # it takes the neighbours with it, and they are as suspect as the culprit
        for _ in range(2):
            worker = world.worker().ready()
            eventually(lambda: world.sweep() or not world.alive or world.over(poison), 60, pause=0.3)
        world.finish(poison, *neighbours)
        assert world.run(poison)["error"]["code"] == "quarantined"
        assert world.run(poison)["crashes"] == 2
        assert {world.status(run) for run in neighbours} == {"success"}


class TestLeaks:
    @pytest.mark.faults
    def test_a_worker_has_no_more_threads_and_files_after_many_runs_than_after_a_few(self, world: World):
        """Half of them fail or are cut off by a database that hangs up."""
        worker = world.worker(hooked=False, threads=8).ready()
        process, sizes = psutil.Process(worker.pid), []
        for turn in range(4):
            good = world.submit_many(
                [world.call(name, tag=f"leak{turn}", delay=0.1) for name in "ab"], "a>b", number=30
            )
            bad = world.submit_many([factories.node("a", "api_call", config={"url": "http://127.0.0.1:1/"})], number=10)
            world.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            world.finish(*good, *bad)
            sizes.append((process.num_threads(), process.num_fds(), world.sockets(worker)))
        threads, files, sockets = zip(*sizes, strict=True)
        assert max(threads[1:]) <= threads[0] + 16
        assert max(files[1:]) <= files[0] + 16
        assert max(sockets[1:]) <= sockets[0] + 16


class TestClock:
    @pytest.mark.faults
    def test_clocks_that_jump_by_hours_move_neither_leases_nor_timers(self, world: World):
        for worker in [world.worker(env={"FAULT_CLOCK": "7200"}), world.worker(env={"FAULT_CLOCK": "7200"})]:
            worker.ready()
        slow = world.submit_many([world.call("a", tag="clock", delay=2 * LEASE)], number=4)
        owner, begun = world.user(), {}
        for number in range(10):
            nodes = [factories.node("w", "wait", config={"seconds": 4}), world.call("b", tag=f"timer{number}")]
            begun[number] = (time.monotonic(), world.submit(nodes, "w>b", owner=owner))
            time.sleep(0.15)
        timers = [run for _, run in begun.values()]
        world.finish(*slow, *timers)
        for run in slow + timers:
            assert (world.run(run)["status"], world.run(run)["crashes"]) == ("success", 0)
        assert world.outside.times("clock/") == {"clock/a": 4}
        waited = [world.outside.asked(f"timer{number}/b")[0].at - began for number, (began, _) in begun.items()]
        assert min(waited) >= 3.9
        assert max(waited) < 30
