"""A waiting run is only rows: it holds no worker, and the next driver continues it."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from models.db import session_scope
from models.errors import InsufficientCredits, InvalidInput, NotFound
from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.kinds import NodeCall
from models.rules.values.scope import Scope
from models.services.executions import approvals, executions
from models.services.executions.approvals import NothingToApprove
from models.services.orchestration import journal
from models.services.orchestration.leases import PastStep
from models.tables import User
from tests.support import factories
from tests.support.engine.bench import Bench, call, transform
from tests.support.factories import node
from workers.engine.driver.outcomes import DriveResult
from workers.engine.driver.paused_steps import PausedStep, PausedSteps
from workers.engine.values.events import AnswerGiven, OwnershipLost
from workers.engine.values.wait_reasons import ChildRetry, ChildRun
from workers.gateways.base import CallFailed


def wait(node_id: str = "w", **config: Any) -> dict[str, Any]:
    return node(node_id, "wait", config=config)


def ask(node_id: str = "q", **config: Any) -> dict[str, Any]:
    return node(node_id, "approval", config={"message": "Send it?"} | config)


def answer(bench: Bench, execution_id: UUID, approved: bool = True, node_id: str = "q", **rest: Any) -> None:
    with session_scope() as session:
        approvals.approve(
            session, session.get_one(User, bench.user_id), execution_id, node_id, approved=approved, **rest
        )


def let_time_pass(bench: Bench) -> None:
    """Every timer's moment was a second ago."""
    moment = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    bench.sql(
        "UPDATE node_executions SET external_ref = jsonb_set(external_ref, '{until}', to_jsonb(CAST(:moment AS text)))"
        " WHERE status = 'waiting'",
        moment=moment,
    )


class TestTimers:
    def test_a_long_wait_parks_the_run_and_frees_its_worker(self, bench: Bench):
        execution_id = bench.submit([call("a"), wait(seconds=3600), call("b")], "a>w", "w>b")
        assert bench.runtime.drive(execution_id) is DriveResult.PARKED
        run = bench.execution(execution_id)
        assert (run.status, run.lease_owner, bench.nodes(execution_id)["w"].status) == ("waiting", None, "waiting")
        assert run.waiting_for["type"] == "timer"
        assert run.waiting_for["nodeId"] == "w"
        assert timedelta(minutes=59) < run.wake_at - datetime.now(UTC) <= timedelta(hours=1)
        assert bench.runtime.drive(execution_id) is None

    def test_when_its_time_has_come_it_goes_on_and_repeats_nothing(self, bench: Bench):
        execution_id = bench.submit([call("a"), wait(seconds=3600), call("b")], "a>w", "w>b")
        bench.runtime.drive(execution_id)
        let_time_pass(bench)
        bench.sql("UPDATE workflow_executions SET wake_at = now()")
        assert bench.another().drive(execution_id) is DriveResult.ENDED
        run = bench.execution(execution_id)
        assert (run.status, run.credits_charged, run.crash_state) == ("success", Decimal("1.30"), "clear")
        assert bench.world.calls == {"a": 1, "b": 1}

    def test_woken_too_early_it_goes_on_waiting_until_the_same_moment(self, bench: Bench):
        execution_id = bench.submit([wait(seconds=3600)])
        bench.runtime.drive(execution_id)
        first = bench.execution(execution_id).waiting_for["until"]
        bench.sql("UPDATE workflow_executions SET wake_at = now()")
        assert bench.runtime.drive(execution_id) is DriveResult.PARKED
        assert bench.execution(execution_id).waiting_for["until"] == first

    def test_a_short_wait_is_sat_out(self, bench: Bench):
        execution_id = bench.submit([wait(seconds=0.2), call("b")], "w>b", value="kept")
        assert bench.runtime.drive(execution_id) is DriveResult.ENDED
        assert bench.nodes(execution_id)["w"].output == "kept"

    def test_branches_beside_a_wait_go_on(self, bench: Bench):
        execution_id = bench.submit([wait(seconds=3600), call("a"), call("b")], "a>b")
        assert bench.runtime.drive(execution_id) is DriveResult.PARKED
        assert bench.world.calls == {"a": 1, "b": 1}

    def test_a_moment_in_the_past_does_not_wait(self, bench: Bench):
        run = bench.run([wait(until="2020-01-01T00:00:00Z")], value=1)
        assert (run.status, run.output) == ("success", 1)

    def test_what_is_no_moment_fails(self, bench: Bench):
        run = bench.run([wait(until="{{ input }}")], value="next week")
        assert run.status == "failed"
        assert "next week" in run.error["message"]


class TestApprovals:
    def test_a_question_waits_for_its_answer_and_takes_its_port(self, bench: Bench):
        nodes = [ask(), transform("yes", "nodes.q.output.comment"), transform("no", "2")]
        execution_id = bench.submit(nodes, "q:approved>yes", "q:rejected>no")
        assert bench.runtime.drive(execution_id) is DriveResult.PARKED
        run = bench.execution(execution_id)
        assert (run.waiting_for["type"], run.waiting_for["message"], run.wake_at) == ("approval", "Send it?", None)
        answer(bench, execution_id, comment="Fine.")
        assert bench.runtime.drive(execution_id) is DriveResult.ENDED
        run = bench.execution(execution_id)
        assert (run.status, run.output) == ("success", "Fine.")
        assert bench.nodes(execution_id)["no"].status == "skipped"

    def test_a_question_is_answered_once(self, bench: Bench):
        execution_id = bench.submit([ask()])
        bench.runtime.drive(execution_id)
        answer(bench, execution_id)
        with pytest.raises(NothingToApprove):
            answer(bench, execution_id, approved=False)

    def test_another_user_cannot_answer(self, bench: Bench):
        execution_id = bench.submit([ask()])
        bench.runtime.drive(execution_id)
        with session_scope() as session, pytest.raises(NotFound):
            approvals.approve(session, factories.user(session), execution_id, "q", approved=True)

    def test_without_an_answer_in_time_the_port_is_timeout(self, bench: Bench):
        nodes = [ask(timeout=1), transform("late", "1"), transform("yes", "2")]
        run = bench.run(nodes, "q:timeout>late", "q:approved>yes")
        assert (run.status, run.output) == ("success", 1)

    def test_an_answer_reaches_a_driver_that_is_busy_with_another_branch(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        bench.world.on("after", lambda *_: bench.world.release.set())
        execution_id = bench.submit([ask(), call("slow"), call("after")], "q:approved>after")
        left = bench.in_background(execution_id)
        assert bench.world.arrived.wait(10)
        while "q" not in bench.nodes(execution_id):
            pass
        answer(bench, execution_id)
        assert left() is DriveResult.ENDED
        assert bench.execution(execution_id).status == "success"

    def test_an_answer_that_comes_while_the_run_is_being_parked_is_not_missed(self, bench: Bench):
        execution_id = bench.submit([ask(), call("slow")])
        bench.world.on("slow", lambda *_: answer(bench, execution_id))
        bench.runtime.drive(execution_id)
        while bench.execution(execution_id).status == "waiting":
            assert bench.execution(execution_id).wake_at is not None
            bench.runtime.drive(execution_id)
        assert bench.execution(execution_id).status == "success"

    def test_an_answer_that_arrives_while_the_run_is_parked_is_not_lost(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ):
        execution_id = bench.submit([ask(), call("slow")])
        record = journal.record

        def slow(session, batch):
            if any(progress.ending for progress in batch) and "q" not in answered:
                answered.append("q")
                answer(bench, execution_id)
                for entry in bench.runtime._heartbeat._snapshot().values():
                    entry.listener.post(AnswerGiven())
                time.sleep(0.3)  # it looks for the answer, and must not take the call for attention with it
            return record(session, batch)

        answered: list[str] = []
        monkeypatch.setattr(journal, "record", slow)
        assert bench.runtime.drive(execution_id) is DriveResult.PARKED
        bench.runtime.drive(execution_id)
        assert bench.execution(execution_id).status == "success"

    def test_a_loop_asks_for_each_item(self, bench: Bench):
        each = node("each", "loop", config={"items": "{{ input }}", "concurrency": 2})
        execution_id = bench.submit([each, ask() | {"parentId": "each"}], value=["a", "b"])
        bench.runtime.drive(execution_id)
        answer(bench, execution_id, path="1", approved=False)
        answer(bench, execution_id)
        bench.runtime.drive(execution_id)
        output = bench.execution(execution_id).output
        assert [item["approved"] for item in output] == [True, False]

    def test_a_cancel_ends_a_run_that_waits(self, bench: Bench):
        execution_id = bench.submit([ask()])
        bench.runtime.drive(execution_id)
        with session_scope() as session:
            executions.request_cancel(session, session.get_one(User, bench.user_id), execution_id)
        assert bench.execution(execution_id).status == "cancelled"
        assert bench.nodes(execution_id)["q"].status == "cancelled"


class TestBudget:
    def resume(self, bench: Bench, execution_id: UUID, cap: str) -> None:
        with session_scope() as session:
            owner = session.get_one(User, bench.user_id)
            approvals.resume(session, owner, execution_id, max_credits=Decimal(cap))

    def test_a_higher_cap_lets_a_run_go_on(self, bench: Bench):
        run = bench.run([call("a"), call("b")], "a>b", cap=Decimal("1.10"))
        self.resume(bench, run.id, "5")
        assert bench.runtime.drive(run.id) is DriveResult.ENDED
        run = bench.execution(run.id)
        assert (run.status, run.credits_charged, run.credits_cap) == ("success", Decimal("1.20"), 5)
        assert bench.world.calls == {"a": 1, "b": 1}

    def test_what_else_it_waits_for_ends_in_its_time(self, bench: Bench):
        run = bench.run([wait(seconds=3600), call("a"), call("b")], "a>b", cap=Decimal("1.20"))
        assert run.waiting_for["type"] == "budget"
        assert timedelta(minutes=59) < run.wake_at - datetime.now(UTC) <= timedelta(hours=1)
        let_time_pass(bench)
        bench.sql("UPDATE workflow_executions SET wake_at = now()")
        assert bench.runtime.drive(run.id) is DriveResult.PARKED
        run = bench.execution(run.id)
        assert (run.waiting_for["type"], run.wake_at, bench.nodes(run.id)["w"].status) == ("budget", None, "success")

    def test_it_takes_what_the_wallet_has_and_no_more(self, bench: Bench):
        run = bench.run([call("a"), call("b")], "a>b", cap=Decimal("1.10"))
        with pytest.raises(InsufficientCredits):
            self.resume(bench, run.id, "1000000")
        assert bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id) == Decimal("1.10")

    def test_a_cap_that_is_no_higher_is_refused(self, bench: Bench):
        run = bench.run([call("a"), call("b")], "a>b", cap=Decimal("1.10"))
        with pytest.raises(InvalidInput):
            self.resume(bench, run.id, "1.10")

    def test_a_run_that_does_not_wait_for_credits_is_left_alone(self, bench: Bench):
        run = bench.run([call("a")])
        with pytest.raises(NothingToApprove):
            self.resume(bench, run.id, "50")


class TestPatience:
    def test_a_long_provider_pause_frees_the_worker_and_the_call_is_retried(self, bench: Bench):
        def busy_once(effect: Any, attempt: Any) -> str:
            if bench.world.calls["a"] == 1:
                raise CallFailed("rate_limited", "Too many requests.", retryable=True, retry_after=60)
            return "at last"

        bench.world.on("a", busy_once)
        execution_id = bench.submit([call("a", retry={"maxAttempts": 3})])
        assert bench.runtime.drive(execution_id) is DriveResult.PARKED
        run = bench.execution(execution_id)
        assert run.waiting_for["type"] == "provider"
        assert timedelta(seconds=50) < run.wake_at - datetime.now(UTC) <= timedelta(seconds=60)
        let_time_pass(bench)
        bench.sql("UPDATE workflow_executions SET wake_at = now()")
        assert bench.another().drive(execution_id) is DriveResult.ENDED
        run = bench.execution(execution_id)
        assert (run.status, run.output["body"], bench.nodes(execution_id)["a"].attempt) == ("success", "at last", 2)
        assert run.credits_charged == Decimal("1.10")


def test_a_run_that_was_just_parked_is_not_taken_for_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """The heartbeat sees that the run has no driver, before the driver learns that the parking was stored."""
    writer = bench.runtime._journal
    write = writer.write

    def tell_before(progress: Any, on_written: Any, **how: Any) -> None:
        if progress.ending:
            for entry in bench.runtime._heartbeat._snapshot().values():
                entry.listener.post(OwnershipLost())
        write(progress, on_written, **how)

    monkeypatch.setattr(writer, "write", tell_before)
    assert bench.runtime.drive(bench.submit([wait(seconds=3600)])) is DriveResult.PARKED


def test_an_answer_to_the_last_attempt_does_not_count_for_the_next():
    """The row still has the failed child run while the driver waits to start it again."""
    step, until, failed = Step("s"), datetime(2030, 1, 1, tzinfo=UTC), {"answer": {"status": "failed"}}
    first, second = ChildRun(run_id=uuid4(), until=until), ChildRun(run_id=uuid4(), until=until)
    for begun in (ChildRetry(until=until), second):
        paused = PausedStep(step, NodeCall(None, {}, Scope({}), None, {}), datetime.now(UTC), begun)
        steps = PausedSteps()
        steps.add(paused)
        steps.refresh({step: PastStep(NodeStatus.WAITING, 1, external_ref=first.to_ref() | failed)})
        assert not paused.reason.is_over
    steps.refresh({step: PastStep(NodeStatus.WAITING, 1, external_ref=second.to_ref() | failed)})
    assert paused.reason.is_over
