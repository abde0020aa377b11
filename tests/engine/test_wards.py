"""A run that is believed to kill workers is driven in a process of its own: only how that ends is a verdict.

What real processes do is in `tests/faults/test_wards.py`.
"""

import signal
import threading
import time
from decimal import Decimal
from queue import SimpleQueue
from uuid import UUID

import pytest

from models.db import session_scope
from models.rules.kinds import NodeCall, NodeKind
from models.rules.nodes import KINDS
from models.services import leases, quarantine, sweeps
from tests.engine.conftest import Bench, call, cancel, sub
from tests.engine.wards import Dead, dying
from tests.factories import node
from workers.engine import wards
from workers.engine.endings import Left
from workers.engine.runtime import Runtime
from workers.engine.wards import PLACES, Death, Ward


def suspected(bench: Bench, *nodes, **rest) -> UUID:
    """A run whose worker died while it alone was watched."""
    execution_id = bench.submit(list(nodes) or [call("a")], **rest)
    bench.crash(execution_id)
    bench.crash(execution_id, watched=True)
    return execution_id


def suspicion(bench: Bench, execution_id: UUID) -> int:
    return bench.sql("SELECT suspicion FROM workflow_executions WHERE id = :id", id=execution_id)


def leave(bench: Bench, runtime: Runtime) -> None:
    assert runtime.leave(5)
    bench.runtimes.remove(runtime)


class TestInnocent:
    def test_a_run_whose_workers_died_by_chance_goes_on_elsewhere_and_is_charged_once(self, bench: Bench):
        execution_id = suspected(bench)
        assert bench.another().drive(execution_id) is Left.WARDED
        run = bench.execution(execution_id)
        assert (run.status, run.credits_charged, bench.world.calls) == ("success", Decimal("1.10"), {"a": 1})

    def test_so_does_one_whose_workers_died_twice_without_progress(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        for _ in range(2):
            bench.crash(execution_id)
        assert bench.another().drive(execution_id) is Left.WARDED
        assert bench.execution(execution_id).status == "success"

    def test_so_does_one_whose_workers_died_again_and_again_although_it_got_further(self, bench: Bench):
        often, oftener = (bench.submit([call("a")]) for _ in range(2))
        for execution_id, deaths in ((often, 3), (oftener, 4)):
            for _ in range(deaths):
                bench.crash(execution_id)
                bench.sql("UPDATE workflow_executions SET crashes = 0, suspicion = 0")  # as when a node has finished
        assert [bench.another().drive(run) for run in (often, oftener)] == [Left.ENDED, Left.WARDED]

    @pytest.mark.parametrize("turn", ["before", "after"])
    def test_whoever_was_beside_a_watched_one_is_not_to_blame(self, bench: Bench, turn: str):
        """Whether its turn comes before that one is in its ward or after."""
        bench.world.on("a", bench.world.hang)
        watched, beside = bench.submit([call("a")]), bench.submit([call("b")])
        for owner in ("one", "two"):
            bench.crash(beside, owner=owner)
            bench.crash(watched, owner=owner, watched=owner == "two")
        if turn == "before":
            assert bench.another().drive(beside) is Left.ENDED
        left = bench.in_background(watched, bench.another())
        assert bench.world.arrived.wait(10)
        if turn == "after":
            assert bench.another().drive(beside) is Left.ENDED
        bench.world.release.set()
        assert left() is Left.WARDED
        assert bench.execution(beside).status == bench.execution(watched).status == "success"

    def test_one_whose_ward_is_killed_is_spared_once(self, bench: Bench):
        """By the kernel for want of memory, or by an operator: that may be chance as well."""
        execution_id = suspected(bench)
        assert bench.another(start_ward=dying(-signal.SIGKILL)).drive(execution_id) is Left.POSTPONED
        assert (bench.execution(execution_id).status, due()) == ("queued", [])
        assert bench.another().drive(execution_id) is Left.WARDED
        assert bench.execution(execution_id).status == "success"

    def test_one_whose_ward_ended_before_it_took_the_run_over_is_not_to_blame(self, bench: Bench):
        execution_id = suspected(bench)
        for status in (1, -signal.SIGSEGV, wards.REFUSED):
            assert bench.another(start_ward=dying(status, early=True)).drive(execution_id) is Left.POSTPONED
            run = bench.execution(execution_id)
            assert (run.status, run.suspicion, due()) == ("queued", 3, [])
        bench.sql("UPDATE workflow_executions SET rung_at = rung_at - interval '61 seconds'")
        assert due() == [execution_id]

    def test_one_whose_ward_cannot_be_started_waits_a_while(self, bench: Bench):
        def refuse(execution_id: UUID, epoch: int) -> Ward:
            raise OSError("no memory for another process")

        execution_id = suspected(bench)
        assert bench.another(start_ward=refuse).drive(execution_id) is Left.POSTPONED
        assert (bench.execution(execution_id).status, suspicion(bench, execution_id), due()) == ("queued", 3, [])
        assert bench.another().drive(execution_id) is Left.WARDED

    def test_one_whose_ward_hangs_is_not_to_blame_either_and_the_ward_is_ended(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(wards, "IDLE_SECONDS", 0.1)
        execution_id = suspected(bench)
        left = bench.in_background(execution_id, bench.another(start_ward=dying(None)))
        while bench.execution(execution_id).lease_owner != "ward:dead":
            time.sleep(0.01)
        bench.sql("UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second'")
        assert bench.another().drive(execution_id) is Left.WARDED  # another worker took the run over
        assert left() is Left.POSTPONED
        assert bench.execution(execution_id).status == "success"

    def test_one_whose_killed_wards_got_further_is_spared_each_time(self, bench: Bench):
        def get_further(execution_id: UUID, epoch: int) -> Ward:
            ward = dying(-signal.SIGKILL)(execution_id, epoch)
            bench.sql("UPDATE workflow_executions SET nodes_executed = nodes_executed + 1, suspicion = 0, crashes = 0")
            return ward

        execution_id = suspected(bench)
        for _ in range(3):
            assert bench.another(start_ward=get_further).drive(execution_id) is Left.POSTPONED
        assert bench.execution(execution_id).status == "queued"

    def test_one_whose_ward_ended_while_its_worker_leaves_is_not_to_blame(self, bench: Bench):
        class Leaving(Dead):
            def wait(self, seconds: float) -> int | None:
                threading.Thread(target=runtime.leave, args=(5,)).start()
                time.sleep(0.2)
                return super().wait(seconds)

        execution_id = suspected(bench)
        runtime = bench.another(start_ward=lambda run, epoch: Leaving(run, epoch, -signal.SIGSEGV))
        assert runtime.drive(execution_id) is Left.HANDED_OVER
        bench.runtimes.remove(runtime)
        assert bench.execution(execution_id).finished_at is None

    def test_whoever_took_a_run_over_is_not_taken_for_its_ward(self, bench: Bench):
        """The worker was stopped for longer than its lease, and then its ward did not start."""

        def too_late(execution_id: UUID, epoch: int) -> Ward:
            bench.sql("UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second'")
            with session_scope() as session:
                assert leases.claim(session, execution_id, owner="other", seconds=30)
            return dying(1, early=True)(execution_id, epoch)

        execution_id = suspected(bench)
        assert bench.another(start_ward=too_late).drive(execution_id) is Left.POSTPONED
        run = bench.execution(execution_id)
        assert (run.status, run.lease_owner) == ("running", "other")

    def test_one_whose_ward_was_told_to_leave_before_it_had_the_run_goes_back_at_once(self, bench: Bench):
        execution_id = suspected(bench)
        bench.another(start_ward=dying(0, early=True)).drive(execution_id)
        run = bench.execution(execution_id)
        assert (run.status, run.suspicion, run.crashes) == ("queued", 3, 2)


class TestGuilty:
    def test_one_that_kills_its_ward_too_is_quarantined(self, bench: Bench):
        execution_id = suspected(bench)
        assert bench.another(start_ward=dying(70)).drive(execution_id) is Left.ENDED
        run = bench.execution(execution_id)
        reason = (
            "The worker died 2 times while it drove this run. Driven alone, it ended its process with exit status 70."
        )
        assert (run.status, run.error) == ("failed", {"code": "quarantined", "message": reason})
        assert (run.credits_charged, run.crashes, bench.world.calls["a"]) == (0, 2, 0)
        assert bench.sql("SELECT status FROM credit_holds WHERE execution_id = :id", id=execution_id) == "released"
        with session_scope() as session:
            letter = quarantine.letters(session)[0]
        assert (letter.id, letter.reason, letter.attempts) == (str(execution_id), reason, 3)
        assert [crash["worker"] for crash in letter.crashes] == [f"doomed with {execution_id}"] * 2 + ["ward:dead"]

    def test_the_reason_names_a_signal(self):
        assert Death(-signal.SIGSEGV).how == "by signal 11 (SIGSEGV)"
        assert Death(-63).how == "by signal 63"

    def test_the_second_killed_ward_in_a_row_is_no_chance(self, bench: Bench):
        execution_id = suspected(bench)
        for _ in range(2):
            bench.another(start_ward=dying(-signal.SIGKILL)).drive(execution_id)
        run = bench.execution(execution_id)
        assert (run.status, run.error["code"]) == ("failed", "quarantined")
        assert "by signal 9 (SIGKILL)" in run.error["message"]

    def test_a_step_that_started_it_does_not_try_again(self, bench: Bench):
        retry = {"maxAttempts": 5, "initialInterval": 0}
        top = bench.submit([sub("s", bench.save([call("a")]), retry=retry)])
        bench.runtime.drive(top)
        child = bench.rung.get()
        bench.crash(child)
        bench.crash(child, watched=True)
        bench.another(start_ward=dying(70)).drive(child)
        run = bench.settle(top)
        assert (run.status, run.error["code"], len(bench.children(top))) == ("failed", "quarantined", 1)

    def test_a_driver_that_breaks_is_a_verdict_too(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
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
        bench.another(start_ward=dying(70)).drive(execution_id)
        assert bench.nodes(execution_id)["a"].status == "cancelled"
        assert stopped.get(timeout=10) == "s"

    def test_a_run_that_was_over_before_its_ward_died_stays_as_it_is(self, bench: Bench):
        execution_id = suspected(bench)

        def end_late(execution_id: UUID, epoch: int) -> Ward:
            bench.another().drive_alone(execution_id, epoch)
            return dying(70, early=True)(execution_id, epoch)

        bench.another(start_ward=end_late).drive(execution_id)
        assert bench.execution(execution_id).status == "success"


class TestLine:
    def test_a_worker_has_few_wards_and_who_waits_for_one_hears_of_a_cancel(self, bench: Bench):
        bench.world.on("a", bench.world.hang)
        runtime = bench.another()
        inside = [bench.in_background(suspected(bench), runtime) for _ in range(PLACES)]
        while bench.world.calls["a"] < PLACES:
            time.sleep(0.01)
        waiting = suspected(bench, call("b"))
        left = bench.in_background(waiting, runtime)
        time.sleep(0.3)
        assert bench.world.calls["b"] == 0
        cancelled_at = time.monotonic()
        cancel(bench, waiting)
        assert left() is Left.ENDED
        assert time.monotonic() - cancelled_at < 2
        assert (bench.execution(waiting).status, bench.world.calls["b"]) == ("cancelled", 0)
        bench.world.release.set()
        assert {ward() for ward in inside} == {Left.WARDED}

    def test_one_that_was_cancelled_before_needs_no_ward(self, bench: Bench):
        execution_id = suspected(bench)
        bench.sql("UPDATE workflow_executions SET status = 'cancelling', cancel_requested_at = now()")
        assert bench.another(start_ward=dying(70)).drive(execution_id) is Left.ENDED
        assert bench.execution(execution_id).status == "cancelled"

    def test_a_worker_that_leaves_hands_on_the_suspicion_too(self, bench: Bench):
        bench.world.on("a", bench.world.hang)
        runtime = bench.another()
        runs = [suspected(bench) for _ in range(PLACES + 1)]
        lefts = [bench.in_background(run, runtime) for run in runs]
        while bench.world.calls["a"] < PLACES:
            time.sleep(0.01)
        leave(bench, runtime)
        assert {left() for left in lefts} == {Left.HANDED_OVER}
        after = [bench.execution(run) for run in runs]
        assert {(run.status, run.suspicion, run.crashes) for run in after} == {("queued", 3, 2)}

    @pytest.mark.parametrize("short", ["LINE", "PLACES"])
    def test_when_the_line_is_long_others_come_back_later(self, bench: Bench, monkeypatch, short: str):
        monkeypatch.setattr(wards, short, 0)
        monkeypatch.setattr(wards, "LINE_SECONDS", 0.1)
        execution_id = suspected(bench)
        assert bench.in_background(execution_id, bench.another())() is Left.POSTPONED
        assert (bench.execution(execution_id).status, due()) == ("queued", [])


def due() -> list[UUID]:
    with session_scope() as session:
        return [execution_id for execution_id, _ in sweeps.due(session)]
