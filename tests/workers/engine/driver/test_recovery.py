"""A run outlives its drivers: what was recorded is not repeated, and a driver whose time is over writes nothing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import text

from models.db import session_scope
from models.rules.executions.schedule import Step
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.rules.graph.effects import Done
from models.rules.graph.kinds import NodeCall, NodeKind
from models.rules.nodes import KINDS
from models.services.executions import executions
from models.services.orchestration import journal, leases, redelivery
from models.services.orchestration.journal import Ending, NodeRow, Progress
from models.tables import User
from tests.support.engine.bench import Bench, call
from tests.support.factories import node
from workers.engine.driver.outcomes import DriveResult
from workers.engine.process.runtime import EngineConfig


def die(bench: Bench, execution_id: UUID) -> None:
    """The driver is gone without a word, and its lease has run out."""
    bench.sql(
        "UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second', status = 'running',"
        " epoch = epoch + 1 WHERE id = :id",
        id=execution_id,
    )


class TestResume:
    def test_finished_nodes_are_not_repeated_and_the_charge_is_whole(self, bench: Bench):
        bench.world.on("b", bench.world.hang)
        execution_id = bench.submit([call("a"), call("b"), call("c")], "a>b", "b>c")
        left = bench.in_background(execution_id)
        assert bench.world.arrived.wait(10)
        die(bench, execution_id)
        assert left() is DriveResult.LOST
        bench.world.release.set()
        bench.another().drive(execution_id)
        run = bench.execution(execution_id)
        assert (run.status, run.credits_charged) == ("success", Decimal("1.30"))
        assert bench.world.calls == {"a": 1, "b": 2, "c": 1}

    def test_an_attempt_under_way_is_repeated_as_the_same_attempt(self, bench: Bench):
        bench.world.on("a", bench.world.hang)
        execution_id = bench.submit([call("a")])
        left = bench.in_background(execution_id)
        assert bench.world.arrived.wait(10)
        die(bench, execution_id)
        left()
        bench.world.release.set()
        bench.another().drive(execution_id)
        assert bench.world.keys() == [(Step("a"), 1), (Step("a"), 1)]
        assert len({attempt.key for attempt in bench.world.attempts}) == 1

    def test_a_node_that_must_not_be_repeated_fails_instead(self, bench: Bench):
        bench.world.on("a", bench.world.hang)
        execution_id = bench.submit([call("a", onCrash="fail")])
        left = bench.in_background(execution_id)
        assert bench.world.arrived.wait(10)
        die(bench, execution_id)
        left()
        bench.another().drive(execution_id)
        run = bench.execution(execution_id)
        assert (run.status, run.error["code"]) == ("failed", "worker_died")
        assert bench.world.calls["a"] == 1

    def test_a_loop_goes_on_with_the_iterations_that_are_left(self, bench: Bench):
        hanging = threading.Event()

        def visit(effect, attempt):
            if attempt.step.path == "2" and not hanging.is_set():
                hanging.set()
                return bench.world.hang(effect, attempt)
            return attempt.step.path

        bench.world.on("visit", visit)
        each = node("each", "loop", config={"items": "{{ input }}"})
        execution_id = bench.submit([each, call("visit", parentId="each")], value=[0, 1, 2, 3])
        left = bench.in_background(execution_id)
        assert bench.world.arrived.wait(10)
        die(bench, execution_id)
        left()
        bench.another().drive(execution_id)
        run = bench.execution(execution_id)
        assert [item["body"] for item in run.output] == ["0", "1", "2", "3"]
        assert bench.world.calls["visit"] == 5

    def test_a_run_released_while_it_stopped_has_no_crash_in_its_log(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        with session_scope() as session:
            lease = leases.claim(session, execution_id, owner="leaving", seconds=30)
            executions.request_cancel(session, session.get_one(User, bench.user_id), execution_id)
            leases.release(session, lease)
        assert bench.another().drive(execution_id) is DriveResult.ENDED
        run = bench.execution(execution_id)
        assert (run.status, run.crash_state, run.crash_log) == ("cancelled", "clear", None)


class TestParking:
    def test_a_run_that_is_cancelled_while_it_parks_ends_as_cancelled(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        with session_scope() as session:
            lease = leases.claim(session, execution_id, owner="worker", seconds=30)
            executions.request_cancel(session, session.get_one(User, bench.user_id), execution_id)
        parked = Ending(ExecutionStatus.WAITING, waiting_for={"type": "budget"})
        with session_scope() as session:
            journal.record(session, [Progress(execution_id, lease.epoch, Decimal(0), 0, 1, 0, ending=parked)])
        with session_scope() as session:
            assert execution_id in {found.execution_id for found in redelivery.stalled(session)}
        assert bench.another().drive(execution_id) is DriveResult.ENDED
        run = bench.execution(execution_id)
        assert (run.status, run.crash_state, run.waiting_for) == ("cancelled", "clear", None)
        assert bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id) == 0


class TestFence:
    def test_only_one_driver_gets_the_lease(self, bench: Bench):
        bench.world.on("a", bench.world.hang)
        execution_id = bench.submit([call("a")])
        left = bench.in_background(execution_id)
        assert bench.world.arrived.wait(10)
        assert bench.another().drive(execution_id) is None
        bench.world.release.set()
        assert left() is DriveResult.ENDED
        assert bench.runtime.drive(execution_id) is None

    def test_many_at_once_still_make_one(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        waits = [bench.in_background(execution_id, bench.another()) for _ in range(6)]
        assert sorted(str(wait()) for wait in waits) == ["None"] * 5 + ["ended"]
        assert bench.world.calls["a"] == 1

    def test_a_driver_of_the_past_changes_nothing(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        with session_scope() as session:
            old = leases.claim(session, execution_id, owner="old", seconds=-1)
        with session_scope() as session:
            new = leases.claim(session, execution_id, owner="new", seconds=30)
        assert old
        assert new
        before = bench.execution(execution_id)
        row = NodeRow(Step("a"), NodeStatus.SUCCESS, 1, old.started_at, output=b"1", credits=Decimal("0.10"))
        late = Progress(execution_id, old.epoch, Decimal("1.10"), 1, 9, 100, [row], [], Ending(ExecutionStatus.SUCCESS))
        with session_scope() as session:
            assert journal.record(session, [late]) == set()
        after = bench.execution(execution_id)
        assert (after.status, after.credits_charged, after.last_seq) == (before.status, 0, before.last_seq)
        assert bench.nodes(execution_id) == {}
        assert bench.sql("SELECT status FROM credit_holds WHERE execution_id = :id", id=execution_id) == "held"

    def test_writing_a_batch_twice_changes_nothing(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        with session_scope() as session:
            lease = leases.claim(session, execution_id, owner="one", seconds=30)
        assert lease
        row = NodeRow(Step("a"), NodeStatus.SUCCESS, 1, lease.started_at, output=b"1", credits=Decimal("0.10"))
        progress = Progress(execution_id, lease.epoch, Decimal("0.10"), 1, 1, 50, [row])
        for _ in range(2):
            with session_scope() as session:
                journal.record(session, [progress])
        run = bench.execution(execution_id)
        assert (run.credits_charged, run.nodes_executed) == (Decimal("0.10"), 1)


class TestHandOver:
    def test_a_worker_that_leaves_gives_its_runs_back_at_once(self, bench: Bench):
        bench.world.on("b", bench.world.hang)
        execution_id = bench.submit([call("a"), call("b")], "a>b")
        left = bench.in_background(execution_id)
        assert bench.world.arrived.wait(10)
        assert bench.runtime.shut_down(5)
        bench.runtimes.remove(bench.runtime)
        assert left() is DriveResult.RELEASED
        assert bench.execution(execution_id).status == "queued"
        bench.world.release.set()
        bench.another().drive(execution_id)
        run = bench.execution(execution_id)
        assert (run.status, run.crash_state, bench.world.calls["a"]) == ("success", "clear", 1)

    def test_a_run_that_was_just_claimed_is_released_too(self, bench: Bench):
        bench.world.on("a", bench.world.hang)
        execution_id = bench.submit([call("a")])
        leaving = bench.another()
        with ThreadPoolExecutor(1) as elsewhere, session_scope() as session:
            session.execute(text("LOCK TABLE workflow_versions IN ACCESS EXCLUSIVE MODE"))
            left = bench.in_background(execution_id, leaving)
            while bench.execution(execution_id).status != "running":
                time.sleep(0.01)  # its driver is about to read the graph
            gone = elsewhere.submit(leaving.shut_down, 10)
            while leaving.drive(execution_id) is not DriveResult.RELEASED:
                time.sleep(0.01)
            time.sleep(0.2)  # everybody who could be asked was asked
            session.commit()
            assert gone.result()
        bench.runtimes.remove(leaving)
        assert left() is DriveResult.RELEASED
        assert bench.execution(execution_id).status == "queued"


class TestBugs:
    def test_a_driver_that_breaks_leaves_no_thread_behind(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        """Its attempts would wait for ever for an answer."""

        def broken(_: NodeCall) -> Done:
            raise RuntimeError("a bug in a node type")

        monkeypatch.setitem(KINDS, "broken", NodeKind(type="broken", fields=(), begin=broken))
        runtime = bench.another(EngineConfig(lease_seconds=30, heartbeat_seconds=1, effect_threads=1))
        bench.world.on("a", bench.world.hang)
        assert runtime.drive(bench.submit([call("a"), node("b", "broken")])) is DriveResult.BROKEN
        assert bench.in_background(bench.submit([call("c")]), runtime)() is DriveResult.ENDED
