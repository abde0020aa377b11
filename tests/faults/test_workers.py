"""Workers that are killed, paused, shut down or disturbed: every accepted run ends and is charged once."""

import signal
import time
from decimal import Decimal
from uuid import UUID

import psutil
import pytest

from models.db import SessionFactory
from models.rules.prices.pricing import Tier
from tasks.queue import QueueName
from tests.support import factories
from tests.support.faults.programs import LIMIT_SECONDS, Program, eventually
from tests.support.faults.world import LEASE, World

CHARGE = Decimal("1.30")  # three nodes and the run
HIGH, OTHERS = QueueName.EXECUTIONS_HIGH, "executions.normal,executions.low,maintenance"


class TestKilled:
    @pytest.mark.faults
    def test_a_node_that_must_not_be_repeated_is_not_and_its_run_says_why(self, world: World):
        doomed, _ = world.worker(queues=HIGH).ready(), world.worker(queues=OTHERS).ready()
        world.outside.hold("unrepeatable/a")
        execution_id = world.submit([world.call("a", tag="unrepeatable", onCrash="fail")], publish=False)
        world.enqueue(execution_id, HIGH)
        world.outside.await_call("unrepeatable/a")
        doomed.kill()
        world.outside.release("unrepeatable/a")
        world.finish(execution_id)
        run = world.run(execution_id)
        assert (run["status"], run["error"]["code"], run["credits_charged"]) == ("failed", "worker_died", 1)
        assert world.outside.times("unrepeatable/") == {"unrepeatable/a": 1}

    @pytest.mark.faults
    def test_a_loop_goes_on_where_it_was(self, world: World):
        doomed, _ = world.worker(queues=HIGH).ready(), world.worker(queues=OTHERS).ready()
        loop = factories.node("each", "loop", config={"items": "{{ input }}", "concurrency": 1})
        visit = world.call("a", tag="loop", delay=0.3, parentId="each")
        execution_id = world.submit([loop, visit], value=list(range(8)), publish=False)
        world.enqueue(execution_id, HIGH)
        world.outside.await_call("loop/a", times=4)
        doomed.kill()
        world.finish(execution_id)
        assert world.run(execution_id)["credits_charged"] == Decimal("1.90")
        assert world.outside.times("loop/")["loop/a"] == 9

    @pytest.mark.faults
    def test_a_safe_call_whose_start_is_not_stored_is_made_again_and_paid_once(self, world: World):
        doomed = world.worker().ready()
        run = early_call(world, "early")
        doomed.kill()
        world.worker().ready()
        world.finish(run)
        assert (world.status(run), world.charged(run)) == ("success", CHARGE)
        assert world.outside.times("early/") == {"early/a": 2, "early/b": 2, "early/c": 1}


def early_call(world: World, tag: str) -> UUID:
    """A run of three calls that only read, of which the second one was sent while its start cannot be stored."""
    world.outside.hold(f"{tag}/a")
    nodes = [world.call(name, tag=tag, method="GET") for name in "abc"]
    run = world.submit(nodes, "a>b", "b>c", owner=world.user(tier=Tier.ENTERPRISE))
    stored = "SELECT node_id, status FROM node_executions WHERE execution_id = %s"
    eventually(lambda: world.sql(stored, run) == [("a", "running")])
    world.arm("storing", "sleep 2")
    world.outside.release(f"{tag}/a")
    world.outside.await_call(f"{tag}/b")
    assert world.sql(stored, run) == [("a", "running")]
    return run


class TestPaused:
    @pytest.mark.faults
    def test_one_that_resumes_after_its_lease_writes_nothing(self, world: World):
        sleeper, _ = world.worker(queues=HIGH).ready(), world.worker(queues=OTHERS).ready()
        world.outside.hold("paused/a")
        nodes = [world.call(name, tag="paused") for name in "zab"]
        execution_id = world.submit(nodes, "z>a", "a>b", publish=False)
        world.enqueue(execution_id, HIGH)
        world.outside.await_call("paused/a")
        sleeper.signal(signal.SIGSTOP)

        def called_again() -> bool:
            world.sweep()
            return world.outside.times("paused/")["paused/a"] == 2

        eventually(called_again, pause=0.2)
        world.outside.release("paused/a")  # the sleeper has its answer as well, when it wakes up
        world.finish(execution_id)
        before = everything(world, execution_id)
        sleeper.signal(signal.SIGCONT)
        eventually(lambda: '"how":"lost"' in sleeper.output, otherwise=lambda: sleeper.output)
        assert everything(world, execution_id) == before
        assert world.outside.times("paused/") == {"paused/z": 1, "paused/a": 2, "paused/b": 1}
        following = world.submit([world.call("a", tag="after-the-pause")], publish=False)
        world.enqueue(following, HIGH)
        eventually(lambda: world.over(following))
        assert "Traceback" not in sleeper.output

    @pytest.mark.faults
    def test_one_that_loses_its_lease_drops_the_result_of_its_early_call(self, world: World):
        sleeper = world.worker().ready()
        run = early_call(world, "early-pause")
        sleeper.signal(signal.SIGSTOP)
        other = world.worker().ready()
        world.finish(run)
        before = everything(world, run)
        sleeper.signal(signal.SIGCONT)
        eventually(lambda: '"how":"lost"' in sleeper.output, otherwise=lambda: sleeper.output)
        assert everything(world, run) == before
        assert (world.status(run), world.charged(run), other.alive) == ("success", CHARGE, True)
        assert world.outside.times("early-pause/") == {
            "early-pause/a": 2,
            "early-pause/b": 2,
            "early-pause/c": 1,
        }


def everything(world: World, execution_id) -> list:
    """All rows about a run."""
    tables = {"workflow_executions": "id", "node_executions": "execution_id", "execution_events": "execution_id"}
    tables |= {"credit_holds": "execution_id", "credit_transactions": "execution_id"}
    return [
        world.sql(f"SELECT * FROM {table} WHERE {column} = %s ORDER BY 1, 2", execution_id)
        for table, column in tables.items()
    ]


def leaving(worker: Program) -> float:
    """Tell a worker to leave as a deployment does; the seconds until it is gone, in good order."""
    begun = time.monotonic()
    assert worker.signal(signal.SIGTERM).wait() == 0, worker.output
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
        world.finish(*runs, sweep=False)  # long before a lease is over
        assert third.alive
        states = {tuple(world.run(run)[name] for name in ("status", "credits_charged", "crash_log")) for run in runs}
        assert states == {("success", CHARGE, None)}
        assert world.outside.times("roll/")["roll/c"] == 6

    @pytest.mark.faults
    def test_one_after_another_under_load(self, world: World):
        workers = [world.worker().ready(), world.worker().ready()]
        runs = world.submit_many([world.call(n, tag="load", delay=0.3) for n in "zab"], "z>a", "a>b", number=60)
        for _ in range(3):
            workers.append(world.worker().ready())
            assert leaving(workers.pop(0)) < 10
        world.finish(*runs, sweep=False)
        assert {(world.run(run)["status"], world.run(run)["crash_log"]) for run in runs} == {("success", None)}


class TestPoison:
    @pytest.mark.faults
    def test_what_kills_its_workers_is_quarantined_and_those_beside_it_go_on(self, world: World):
        neighbours = world.submit_many([world.call("b", tag="beside", delay=3 * LEASE)], number=5)
        poison = world.submit([world.call("poison")], publish=False)
        worker = world.worker().ready()
        world.outside.await_call("beside/b", times=5)
        world.enqueue(poison)
        assert worker.wait() == 70  # it takes the neighbours with it, and they are as suspect as the culprit
        for _ in range(2):
            worker = world.worker().ready()
            eventually(lambda: world.sweep() or not world.alive or world.over(poison), 3 * LIMIT_SECONDS, pause=0.3)
        world.finish(poison, *neighbours)
        assert world.run(poison)["error"]["code"] == "quarantined"
        assert len(world.run(poison)["crash_log"]) == 3  # two workers, and the process that was its own
        assert {world.status(run) for run in neighbours} == {"success"}


class TestLeaks:
    @pytest.mark.faults
    def test_threads_and_files_of_a_worker_do_not_grow_with_its_runs(self, world: World):
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
            SessionFactory.kw["bind"].dispose()  # this process was hung up on, too
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
            assert (world.run(run)["status"], world.run(run)["crash_log"]) == ("success", None)
        assert world.outside.times("clock/") == {"clock/a": 4}
        waited = [world.outside.asked(f"timer{number}/b")[0].at - began for number, (began, _) in begun.items()]
        assert min(waited) >= 3.9
        assert max(waited) < 30
