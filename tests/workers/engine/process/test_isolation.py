"""A run suspected to kill workers is driven in an isolated process, whose exit decides.

Real processes are tested in `tests/faults/test_isolation.py`.
"""

import signal
import threading
import time
from decimal import Decimal
from queue import SimpleQueue
from uuid import UUID

import pytest

from models.db import session_scope
from models.rules.executions.states import CrashState
from models.rules.graph.kinds import NodeCall, NodeKind
from models.rules.nodes import KINDS
from models.services.executions import dead_letters
from models.services.orchestration import leases, redelivery
from tests.support.engine.bench import Bench, call, cancel, sub
from tests.support.engine.isolation import Dead, dying
from tests.support.factories import node
from workers.engine.driver.outcomes import DriveResult
from workers.engine.process import isolation
from workers.engine.process.isolation import MAX_ISOLATED, IsolatedProcess, ProcessExit
from workers.engine.process.runtime import Runtime


def suspected(bench: Bench, *nodes, **rest) -> UUID:
    """A run two of whose workers died, one after the other, before it got further."""
    execution_id = bench.submit(list(nodes) or [call("a")], **rest)
    for _ in range(2):
        bench.crash(execution_id)
    return execution_id


def crash_state(bench: Bench, execution_id: UUID) -> str:
    return bench.sql("SELECT crash_state FROM workflow_executions WHERE id = :id", id=execution_id)


def leave(bench: Bench, runtime: Runtime) -> None:
    assert runtime.shut_down(5)
    bench.runtimes.remove(runtime)


class TestHarmlessRuns:
    def test_a_run_whose_workers_died_by_chance_continues_and_is_charged_once(self, bench: Bench):
        execution_id = suspected(bench)
        assert bench.another().drive(execution_id) is DriveResult.ISOLATED
        run = bench.execution(execution_id)
        assert (run.status, run.credits_charged, bench.world.calls) == ("success", Decimal("1.10"), {"a": 1})

    def test_a_run_whose_workers_died_twice_without_progress_is_isolated(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        for _ in range(2):
            bench.crash(execution_id)
        assert bench.another().drive(execution_id) is DriveResult.ISOLATED
        assert bench.execution(execution_id).status == "success"

    def test_a_run_whose_workers_died_often_is_isolated_despite_progress(self, bench: Bench):
        often, oftener = (bench.submit([call("a")]) for _ in range(2))
        for execution_id, deaths in ((often, 3), (oftener, 4)):
            for _ in range(deaths):
                bench.crash(execution_id)
                bench.sql("UPDATE workflow_executions SET crash_state = 'clear'")  # as when a node has finished
        assert [bench.another().drive(run) for run in (often, oftener)] == [DriveResult.ENDED, DriveResult.ISOLATED]

    def test_a_run_beside_the_cause_succeeds_although_its_workers_died_twice(self, bench: Bench):
        poison, beside = bench.submit([call("a")]), bench.submit([call("b")])
        for owner in ("one", "two"):
            bench.crash(poison, owner=owner)
            bench.crash(beside, owner=owner)
        assert bench.another(start_isolated=dying(70)).drive(poison) is DriveResult.ENDED
        assert bench.another().drive(beside) is DriveResult.ISOLATED
        assert [bench.execution(run).status for run in (poison, beside)] == ["failed", "success"]

    def test_a_run_with_progress_between_two_deaths_is_driven_as_usual(self, bench: Bench):
        execution_id = bench.submit([call("a"), call("b")], "a>b")
        bench.crash(execution_id)
        bench.world.on("b", bench.world.hang)
        left = bench.in_background(execution_id, bench.another())
        assert bench.world.arrived.wait(10)
        while crash_state(bench, execution_id) != CrashState.CLEAR:
            time.sleep(0.01)
        bench.world.release.set()
        assert left() is DriveResult.ENDED

    def test_one_whose_process_is_killed_is_spared_once(self, bench: Bench):
        """By the kernel for want of memory, or by an operator: that may be chance as well."""
        execution_id = suspected(bench)
        assert bench.another(start_isolated=dying(-signal.SIGKILL)).drive(execution_id) is DriveResult.POSTPONED
        assert (bench.execution(execution_id).status, due()) == ("queued", [])
        assert bench.another().drive(execution_id) is DriveResult.ISOLATED
        assert bench.execution(execution_id).status == "success"

    def test_an_exit_before_the_process_takes_the_run_over_proves_nothing(self, bench: Bench):
        execution_id = suspected(bench)
        for status in (1, -signal.SIGSEGV, isolation.EXIT_UNAVAILABLE):
            assert bench.another(start_isolated=dying(status, early=True)).drive(execution_id) is DriveResult.POSTPONED
            run = bench.execution(execution_id)
            assert (run.status, run.crash_state, due()) == ("queued", "isolated", [])
        bench.sql("UPDATE workflow_executions SET enqueued_at = enqueued_at - interval '61 seconds'")
        assert due() == [execution_id]

    def test_one_whose_process_cannot_be_started_waits_a_while(self, bench: Bench):
        def refuse(execution_id: UUID, epoch: int) -> IsolatedProcess:
            raise OSError("no memory for another process")

        execution_id = suspected(bench)
        assert bench.another(start_isolated=refuse).drive(execution_id) is DriveResult.POSTPONED
        run = bench.execution(execution_id)
        assert (run.status, run.crash_state, due()) == ("queued", "isolated", [])
        assert bench.another().drive(execution_id) is DriveResult.ISOLATED

    def test_a_process_that_hangs_is_killed_and_proves_nothing(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        execution_id = suspected(bench)
        with monkeypatch.context() as patched:
            patched.setattr(isolation, "IDLE_SECONDS", 0.2)
            left = bench.in_background(execution_id, bench.another(start_isolated=dying(None)))
            while bench.execution(execution_id).lease_owner != "isolated:dead":
                time.sleep(0.01)
            bench.sql("UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second'")
            with session_scope() as session:
                lease = leases.claim(session, execution_id, owner="next", seconds=30)
            assert lease
            assert left() is DriveResult.POSTPONED
            with session_scope() as session:
                leases.release(session, lease)
        assert bench.another().drive(execution_id) is DriveResult.ISOLATED
        assert bench.execution(execution_id).status == "success"

    def test_one_whose_killed_processes_got_further_is_spared_each_time(self, bench: Bench):
        def get_further(execution_id: UUID, epoch: int) -> IsolatedProcess:
            process = dying(-signal.SIGKILL)(execution_id, epoch)
            bench.sql("UPDATE workflow_executions SET nodes_executed = nodes_executed + 1, crash_state = 'clear'")
            return process

        execution_id = suspected(bench)
        for _ in range(3):
            assert bench.another(start_isolated=get_further).drive(execution_id) is DriveResult.POSTPONED
        assert bench.execution(execution_id).status == "queued"

    def test_one_whose_process_ended_while_its_worker_leaves_is_not_to_blame(self, bench: Bench):
        class Leaving(Dead):
            def wait(self, seconds: float) -> int | None:
                threading.Thread(target=runtime.shut_down, args=(5,)).start()
                time.sleep(0.2)
                return super().wait(seconds)

        execution_id = suspected(bench)
        runtime = bench.another(start_isolated=lambda run, epoch: Leaving(run, epoch, -signal.SIGSEGV))
        assert runtime.drive(execution_id) is DriveResult.RELEASED
        bench.runtimes.remove(runtime)
        assert bench.execution(execution_id).finished_at is None

    def test_another_driver_of_the_run_is_not_taken_for_its_process(self, bench: Bench):
        """The worker was stopped for longer than its lease, and then its isolated process did not start."""

        def too_late(execution_id: UUID, epoch: int) -> IsolatedProcess:
            bench.sql("UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second'")
            with session_scope() as session:
                assert leases.claim(session, execution_id, owner="other", seconds=30)
            return dying(1, early=True)(execution_id, epoch)

        execution_id = suspected(bench)
        assert bench.another(start_isolated=too_late).drive(execution_id) is DriveResult.POSTPONED
        run = bench.execution(execution_id)
        assert (run.status, run.lease_owner) == ("running", "other")

    def test_a_process_stopped_before_it_has_the_run_returns_it_at_once(self, bench: Bench):
        execution_id = suspected(bench)
        bench.another(start_isolated=dying(0, early=True)).drive(execution_id)
        run = bench.execution(execution_id)
        assert (run.status, run.crash_state, len(run.crash_log)) == ("queued", "isolated", 2)


class TestHarmfulRuns:
    def test_one_that_kills_its_process_too_is_quarantined(self, bench: Bench):
        execution_id = suspected(bench)
        assert bench.another(start_isolated=dying(70)).drive(execution_id) is DriveResult.ENDED
        run = bench.execution(execution_id)
        reason = (
            "The worker died 2 times while it drove this run. Driven alone, it ended its process with exit status 70."
        )
        assert (run.status, run.error) == ("failed", {"code": "quarantined", "message": reason})
        assert (run.credits_charged, len(run.crash_log), bench.world.calls["a"]) == (0, 3, 0)
        assert bench.sql("SELECT status FROM credit_holds WHERE execution_id = :id", id=execution_id) == "released"
        with session_scope() as session:
            letter = dead_letters.dead_letters(session)[0]
        assert (letter.id, letter.reason, letter.attempts) == (str(execution_id), reason, 3)
        assert [crash["worker"] for crash in letter.crashes] == [f"doomed with {execution_id}"] * 2 + ["isolated:dead"]

    def test_the_reason_names_a_signal(self):
        assert ProcessExit(-signal.SIGSEGV).description == "by signal 11 (SIGSEGV)"
        assert ProcessExit(-63).description == "by signal 63"

    def test_the_second_killed_process_in_a_row_is_no_chance(self, bench: Bench):
        execution_id = suspected(bench)
        for _ in range(2):
            bench.another(start_isolated=dying(-signal.SIGKILL)).drive(execution_id)
        run = bench.execution(execution_id)
        assert (run.status, run.error["code"]) == ("failed", "quarantined")
        assert "by signal 9 (SIGKILL)" in run.error["message"]

    def test_a_step_that_started_it_does_not_try_again(self, bench: Bench):
        retry = {"maxAttempts": 5, "initialInterval": 0}
        top = bench.submit([sub("s", bench.save([call("a")]), retry=retry)])
        bench.runtime.drive(top)
        child = bench.enqueued.get()
        bench.crash(child)
        bench.crash(child)
        bench.another(start_isolated=dying(70)).drive(child)
        run = bench.settle(top)
        assert (run.status, run.error["code"], len(bench.children(top))) == ("failed", "quarantined", 1)

    def test_a_failing_driver_counts_too(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        """Otherwise it would be taken up again for ever."""

        def broken(_: NodeCall) -> None:
            raise RuntimeError("a bug in a node type")

        monkeypatch.setitem(KINDS, "broken", NodeKind(type="broken", fields=(), begin=broken))
        execution_id = suspected(bench, node("b", "broken"))
        bench.another().drive(execution_id)
        assert "with exit status 70" in bench.execution(execution_id).error["message"]

    def test_what_it_had_under_way_is_closed_and_stopped(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        stopped: SimpleQueue[str] = SimpleQueue()
        monkeypatch.setattr(bench.world, "stop", lambda left: stopped.put(left["sessionKey"]), raising=False)
        execution_id = suspected(bench)
        bench.sql(
            "INSERT INTO node_executions (execution_id, node_id, path, status, attempt, external_ref)"
            " VALUES (:id, 'a', '', 'running', 1, '{\"sessionKey\": \"s\"}')",
            id=execution_id,
        )
        bench.another(start_isolated=dying(70)).drive(execution_id)
        assert bench.nodes(execution_id)["a"].status == "cancelled"
        assert stopped.get(timeout=10) == "s"

    def test_a_run_that_was_over_before_its_process_died_stays_as_it_is(self, bench: Bench):
        execution_id = suspected(bench)

        def end_late(execution_id: UUID, epoch: int) -> IsolatedProcess:
            bench.another().drive_alone(execution_id, epoch)
            return dying(70, early=True)(execution_id, epoch)

        bench.another(start_isolated=end_late).drive(execution_id)
        assert bench.execution(execution_id).status == "success"


class TestQueue:
    def test_a_run_that_waits_for_an_isolated_process_can_be_cancelled(self, bench: Bench):
        bench.world.on("a", bench.world.hang)
        runtime = bench.another()
        inside = [bench.in_background(suspected(bench), runtime) for _ in range(MAX_ISOLATED)]
        while bench.world.calls["a"] < MAX_ISOLATED:
            time.sleep(0.01)
        waiting = suspected(bench, call("b"))
        left = bench.in_background(waiting, runtime)
        time.sleep(0.3)
        assert bench.world.calls["b"] == 0
        cancel(bench, waiting)
        assert left() is DriveResult.ENDED  # although those inside go on
        assert (bench.execution(waiting).status, bench.world.calls["b"]) == ("cancelled", 0)
        bench.world.release.set()
        assert {process() for process in inside} == {DriveResult.ISOLATED}

    def test_one_that_was_cancelled_before_needs_no_process(self, bench: Bench):
        execution_id = suspected(bench)
        bench.sql("UPDATE workflow_executions SET status = 'cancelling', cancel_requested_at = now()")
        assert bench.another(start_isolated=dying(70)).drive(execution_id) is DriveResult.ENDED
        assert bench.execution(execution_id).status == "cancelled"

    def test_a_worker_that_leaves_hands_on_the_crash_state_too(self, bench: Bench):
        bench.world.on("a", bench.world.hang)
        runtime = bench.another()
        runs = [suspected(bench) for _ in range(MAX_ISOLATED + 1)]
        lefts = [bench.in_background(run, runtime) for run in runs]
        while bench.world.calls["a"] < MAX_ISOLATED:
            time.sleep(0.01)
        leave(bench, runtime)
        assert {left() for left in lefts} == {DriveResult.RELEASED}
        after = [bench.execution(run) for run in runs]
        assert {(run.status, run.crash_state, len(run.crash_log)) for run in after} == {("queued", "isolated", 2)}

    @pytest.mark.parametrize("short", ["MAX_QUEUED", "MAX_ISOLATED"])
    def test_when_the_queue_is_long_others_come_back_later(self, bench: Bench, monkeypatch, short: str):
        monkeypatch.setattr(isolation, short, 0)
        monkeypatch.setattr(isolation, "QUEUE_TIMEOUT_SECONDS", 0.1)
        execution_id = suspected(bench)
        assert bench.in_background(execution_id, bench.another())() is DriveResult.POSTPONED
        assert (bench.execution(execution_id).status, due()) == ("queued", [])


def due() -> list[UUID]:
    with session_scope() as session:
        return [run.execution_id for run in redelivery.stalled(session)]
