"""A run that runs other workflows: it waits for them as a row, hears of their end at once, and they die with it."""

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from queue import Empty
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError

from models.db import session_scope
from models.errors import LeaseLost
from models.execution import Execution
from models.rules.effects import RunWorkflow
from models.rules.pricing import PLANS, Tier
from models.rules.schedule import Step
from models.rules.subworkflows import MAX_DEPTH
from models.services import answers, children, executions, leases, overdue, sweeps
from models.services.children import Wanted
from models.user import User
from models.workflow import Workflow
from tests import factories
from tests.engine.conftest import Bench, call, connect_all, sub, transform
from tests.engine.world import World
from tests.factories import node
from workers.engine import children as starting
from workers.engine.endings import Left

ROOM = PLANS[Tier.FREE].concurrent_runs


def ask(node_id: str = "q") -> dict[str, Any]:
    return node(node_id, "approval", config={"message": "Go on?"})


def cancel(bench: Bench, execution_id: UUID) -> Execution:
    with session_scope() as session:
        return executions.request_cancel(session, session.get_one(User, bench.user_id), execution_id)


def approve(bench: Bench, execution_id: UUID, node_id: str = "q") -> None:
    with session_scope() as session:
        answers.approve(session, session.get_one(User, bench.user_id), execution_id, node_id, approved=True)


def event_types(bench: Bench, execution_id: UUID) -> list[str]:
    return [event.type for event in bench.events(execution_id)]


class TestAChild:
    def test_is_a_run_of_its_own_whose_output_is_the_nodes(self, bench: Bench):
        inner = bench.save([call("a"), transform("t", "nodes.a.output.body + input.x")], "a>t", name="Inner")
        nodes = [transform("before", "{'x': '!'}"), sub("s", inner), transform("after", "nodes.s.output + '?'")]
        run = bench.settle(bench.submit(nodes, "before>s", "s>after"))
        assert (run.status, run.output) == ("success", "a!?")
        (child,) = bench.children(run.id)
        assert (child.status, child.output, child.input) == ("success", "a!", {"x": "!"})
        assert (child.workflow_id, child.workflow_name, child.depth) == (inner, "Inner", 1)
        assert (child.parent_node_id, child.parent_path, child.parent_attempt) == ("s", "", 1)
        assert bench.nodes(run.id)["s"].external_ref["childExecutionId"] == str(child.id)

    def test_gets_the_input_that_the_node_names(self, bench: Bench):
        inner = bench.save([transform("t", "input")])
        run = bench.settle(bench.submit([sub("s", inner, input={"n": "{{ input * 2 }}"})], value=21))
        assert run.output == {"n": 42}

    def test_costs_what_it_costs_by_itself_and_the_node_costs_a_node(self, bench: Bench):
        inner = bench.save([call("a"), call("b")], "a>b")
        run = bench.settle(bench.submit([sub("s", inner)], cap=50))
        (child,) = bench.children(run.id)
        assert (run.credits_charged, child.credits_charged) == (Decimal("1.10"), Decimal("1.20"))
        assert bench.sql("SELECT balance FROM credits WHERE user_id = :id", id=bench.user_id) == Decimal("99997.70")
        assert bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id) == 0

    def test_its_parent_waits_as_a_row_and_names_it(self, bench: Bench):
        run_id = bench.submit([sub("s", bench.save([call("a")], name="Inner"))])
        assert bench.runtime.drive(run_id) is Left.PARKED
        run, (child,) = bench.execution(run_id), bench.children(run_id)
        assert (run.status, run.lease_owner, run.wake_at) == ("waiting", None, None)
        assert (run.waiting_for["type"], run.waiting_for["message"]) == ("subworkflow", "Waits for Inner.")
        assert run.waiting_for["childExecutionId"] == str(child.id) == str(bench.rung.get())
        assert bench.runtime.drive(run_id) is None

    def test_its_end_wakes_the_parent_at_once(self, bench: Bench):
        run_id = bench.submit([sub("s", bench.save([call("a")]))])
        bench.runtime.drive(run_id)
        bench.runtime.drive(bench.rung.get())
        assert bench.execution(run_id).wake_at is not None
        with session_scope() as session:
            assert [run for run, _ in sweeps.woken_by(session, bench.children(run_id)[0].id)] == [run_id]
        assert bench.another().drive(run_id) is Left.ENDED

    def test_a_ring_that_was_lost_is_found_by_the_sweep(self, bench: Bench):
        run_id = bench.submit([sub("s", bench.save([call("a")]))])
        bench.runtime.drive(run_id)
        bench.runtime.drive(bench.rung.get())
        with session_scope() as session:
            assert run_id in [run for run, _ in sweeps.due(session)]

    def test_a_parent_that_is_busy_with_another_branch_hears_of_it_too(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        bench.world.on("after", lambda *_: bench.world.release.set())
        nodes = [sub("s", bench.save([call("a")])), call("after"), call("slow")]
        run_id = bench.submit(nodes, "s>after")
        left = bench.in_background(run_id)
        bench.another().drive(bench.rung.get(timeout=10))
        assert left() is Left.ENDED
        assert bench.execution(run_id).status == "success"

    def test_what_happened_is_told_in_both_histories(self, bench: Bench):
        run = bench.settle(bench.submit([sub("s", bench.save([call("a")]))]))
        (child,) = bench.children(run.id)
        types = event_types(bench, run.id)
        assert types.index("child.started") < types.index("child.ended") < types.index("node.success")
        assert event_types(bench, child.id)[:2] == ["execution.queued", "execution.started"]
        ended = next(event for event in bench.events(run.id) if event.type == "child.ended")
        assert ended.data == {"childExecutionId": str(child.id), "status": "success"}
        assert ended.node_id == "s"


class TestAChildThatFails:
    def failing(self, bench: Bench, times: int = 1) -> UUID:
        bench.world.on("bad", World.fail(times, retryable=False))
        return bench.save([call("bad")])

    def test_fails_the_node_with_its_error(self, bench: Bench):
        run = bench.settle(bench.submit([sub("s", self.failing(bench))]))
        assert (run.status, run.error["code"], run.error["nodeId"]) == ("failed", "http_503", "s")
        assert run.credits_charged == 0

    def test_is_run_again_as_another_run_where_the_node_says_so(self, bench: Bench):
        retry = {"maxAttempts": 2, "initialInterval": 0}
        run = bench.settle(bench.submit([sub("s", self.failing(bench), retry=retry)]))
        assert run.status == "success"
        assert [(c.status, c.parent_attempt) for c in bench.children(run.id)] == [("failed", 1), ("success", 2)]
        assert bench.nodes(run.id)["s"].attempt == 2

    def test_between_two_attempts_the_parent_is_parked(self, bench: Bench):
        retry = {"maxAttempts": 2, "initialInterval": 600, "maxInterval": 600}
        run_id = bench.submit([sub("s", self.failing(bench), retry=retry)])
        run = bench.settle(run_id)
        assert run.status == "waiting"
        assert run.wake_at - datetime.now(UTC) > timedelta(seconds=250)
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        bench.sql(
            "UPDATE node_executions SET external_ref = jsonb_set(external_ref, '{until}', to_jsonb(CAST(:t AS text)))"
            " WHERE status = 'waiting'",
            t=past,
        )
        bench.sql("UPDATE workflow_executions SET wake_at = now() WHERE id = :id", id=run_id)
        assert bench.settle(run_id).status == "success"

    def test_may_be_mended(self, bench: Bench):
        on = {"onError": "continue", "defaultValue": "instead"}
        nodes = [sub("s", self.failing(bench), **on), transform("t", "nodes.s.output")]
        run = bench.settle(bench.submit(nodes, "s>t"))
        assert (run.status, run.output) == ("success", "instead")

    def test_takes_the_error_port(self, bench: Bench):
        nodes = [sub("s", self.failing(bench), onError="branch"), transform("t", "nodes.s.output.error.code")]
        run = bench.settle(bench.submit(nodes, "s:error>t"))
        assert (run.status, run.output) == ("success", "http_503")

    def test_that_is_cancelled_alone_fails_the_node(self, bench: Bench):
        retry = {"maxAttempts": 3, "initialInterval": 0}
        run_id = bench.submit([sub("s", bench.save([ask()]), retry=retry)])
        bench.settle(run_id)
        (child,) = bench.children(run_id)
        cancel(bench, child.id)
        run = bench.settle(run_id)
        assert (run.status, run.error["code"]) == ("failed", "subworkflow_cancelled")
        assert len(bench.children(run_id)) == 1

    def test_that_takes_too_long_is_stopped(self, bench: Bench):
        run_id = bench.submit([sub("s", bench.save([ask()]), timeout=0.05)])
        bench.settle(run_id)
        time.sleep(0.1)
        bench.sql("UPDATE workflow_executions SET wake_at = now() WHERE id = :id AND status = 'waiting'", id=run_id)
        run = bench.settle(run_id)
        assert (run.status, run.error["code"]) == ("failed", "timeout")
        assert [child.status for child in bench.children(run_id)] == ["cancelled"]

    def test_of_a_workflow_that_is_gone_or_broken_is_not_started(self, bench: Bench):
        inner = bench.save([call("a")])
        run_id = bench.submit([sub("s", inner)])
        bench.sql("UPDATE workflows SET deleted_at = now() WHERE id = :id", id=inner)
        run = bench.settle(run_id)
        assert (run.status, run.error["code"], bench.children(run_id)) == ("failed", "not_found", [])

    def test_of_a_strangers_workflow_is_not_started(self, bench: Bench):
        with session_scope() as session:
            inner = factories.workflow(session).id
        run = bench.settle(bench.submit([sub("s", inner)]))
        assert (run.status, run.error["code"]) == ("failed", "not_found")

    def test_of_a_workflow_that_the_tier_does_not_allow_is_not_started(self, bench: Bench):
        inner = bench.save([transform(f"n{number}", "1") for number in range(11)])
        run = bench.settle(bench.submit([sub("s", inner)]))
        assert (run.status, run.error["code"]) == ("failed", "node_limit_reached")


class TestDepth:
    def test_a_workflow_may_run_itself_until_it_has_enough(self, bench: Bench):
        inner = bench.save([call("a")])
        graph = {
            "nodes": [
                node("q", "decision", config={"condition": "input > 0"}),
                sub("s", inner, input="{{ input - 1 }}"),
                transform("end", "'bottom'"),
            ],
            "connections": connect_all("q:true>s", "q:false>end"),
        }
        with session_scope() as session:
            workflow = session.get_one(Workflow, inner)
            factories.version(session, workflow, graph=graph)
        run = bench.settle(bench.submit([], document=graph, value=MAX_DEPTH))
        assert (run.status, run.output) == ("success", "bottom")
        depths = bench.sql("SELECT array_agg(depth ORDER BY depth) FROM workflow_executions")
        assert depths == list(range(MAX_DEPTH + 1))
        run = bench.settle(bench.submit([], document=graph, value=MAX_DEPTH + 1))
        assert (run.status, run.error["code"]) == ("failed", "nested_too_deeply")

    def test_a_loop_runs_a_child_for_each_item(self, bench: Bench):
        inner = bench.save([transform("t", "input * 10")])
        each = node("each", "loop", config={"items": "{{ input }}", "concurrency": 2})
        run = bench.settle(bench.submit([each, sub("s", inner, parentId="each")], value=[1, 2, 3, 4, 5]))
        assert (run.status, run.output) == ("success", [10, 20, 30, 40, 50])
        assert sorted(child.parent_path for child in bench.children(run.id)) == list("01234")

    def test_no_run_starts_more_than_it_may(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(children, "MAX_CHILDREN", 2)
        inner = bench.save([transform("t", "input")])
        each = node("each", "loop", config={"items": "{{ input }}"})
        run = bench.settle(bench.submit([each, sub("s", inner, parentId="each")], value=[1, 2, 3]))
        assert run.status == "failed"
        assert "may start 2 runs" in run.error["message"]
        assert len(bench.children(run.id)) == 2


class TestStopping:
    """Whatever ends a run ends all that it started."""

    def family(self, bench: Bench) -> tuple[UUID, UUID, UUID]:
        """A parent and its child that wait, and a grandchild that asks a question."""
        inner = bench.save([ask()])
        middle = bench.save([call("paid"), sub("s", inner)], "paid>s")
        top = bench.submit([sub("s", middle)])
        bench.settle(top)
        (child,) = bench.children(top)
        (grandchild,) = bench.children(child.id)
        return top, child.id, grandchild.id

    def statuses(self, bench: Bench, *runs: UUID) -> list[str]:
        return [bench.execution(run).status for run in runs]

    def test_a_cancel_goes_down_to_those_that_wait_and_pays_for_what_they_did(self, bench: Bench):
        top, child, grandchild = self.family(bench)
        cancel(bench, top)
        assert self.statuses(bench, top, child, grandchild) == ["cancelled"] * 3
        assert bench.execution(child).credits_charged == Decimal("1.10")
        assert {row.status for run in (top, child, grandchild) for row in bench.nodes(run).values()} == {
            "cancelled",
            "success",
        }
        assert event_types(bench, grandchild)[-1] == "execution.cancelled"
        assert bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id) == 0

    def test_and_to_those_that_are_queued(self, bench: Bench):
        top = bench.submit([sub("s", bench.save([call("a")]))])
        bench.runtime.drive(top)
        cancel(bench, top)
        (child,) = bench.children(top)
        assert child.status == "cancelled"
        assert bench.runtime.drive(child.id) is None

    def test_and_to_those_that_are_driven(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        middle = bench.save([sub("s", bench.save([call("slow")]))])
        top = bench.submit([sub("s", middle)])
        bench.runtime.drive(top)
        bench.runtime.drive(bench.rung.get())
        left = bench.in_background(bench.rung.get())
        assert bench.world.arrived.wait(10)
        asked_at = datetime.now(UTC)
        cancel(bench, top)
        assert left() is Left.ENDED
        (child,) = bench.children(top)
        (grandchild,) = bench.children(child.id)
        assert self.statuses(bench, top, child.id, grandchild.id) == ["cancelled"] * 3
        assert bench.execution(grandchild.id).finished_at - asked_at < timedelta(seconds=5)

    def test_and_from_a_parent_that_is_driven(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        top = bench.submit([sub("s", bench.save([ask()])), call("slow")])
        left = bench.in_background(top)
        child = bench.rung.get(timeout=10)
        bench.another().drive(child)
        cancel(bench, top)
        assert bench.execution(child).status == "cancelled"
        assert left() is Left.ENDED
        assert bench.execution(top).status == "cancelled"

    def test_a_sibling_that_fails_takes_the_children_along(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        top = bench.submit([sub("s", bench.save([ask()])), call("slow"), transform("bad", "1 / 0")], "slow>bad")
        left = bench.in_background(top)
        child = bench.rung.get(timeout=10)
        bench.another().drive(child)
        bench.world.release.set()
        left()
        assert self.statuses(bench, top, child) == ["failed", "cancelled"]

    def test_a_deadline_takes_the_children_along(self, bench: Bench):
        top, child, grandchild = self.family(bench)
        bench.sql("UPDATE workflow_executions SET deadline_at = now() - interval '1 second'")
        with session_scope() as session:
            overdue.end_overdue(session)
        assert self.statuses(bench, top, child, grandchild) == ["failed", "cancelled", "cancelled"]

    def test_a_loop_that_fails_stops_its_other_iterations(self, bench: Bench):
        decide = node("q", "decision", config={"condition": "input == 1"})
        inner = bench.save([decide, transform("bad", "1 / 0"), ask("w")], "q:true>bad", "q:false>w")
        each = node("each", "loop", config={"items": "{{ input }}", "concurrency": 3}, onError="continue")
        run = bench.settle(bench.submit([each, sub("s", inner, parentId="each")], value=[0, 1, 2]))
        assert run.status == "success"
        assert sorted(child.status for child in bench.children(run.id)) == ["cancelled", "cancelled", "failed"]

    def test_a_child_does_not_outlive_the_time_of_its_parent(self, bench: Bench):
        top = bench.submit([sub("s", bench.save([ask()]))])
        bench.sql("UPDATE workflow_executions SET deadline_at = now() + interval '1 hour'")
        bench.settle(top)
        assert bench.children(top)[0].deadline_at == bench.execution(top).deadline_at


class TestCrashes:
    def wanted(self, inner: UUID, attempt: int = 1) -> Wanted:
        return Wanted(Step("s"), attempt, RunWorkflow(inner, None), Decimal(50), datetime.now(UTC))

    def test_one_attempt_of_one_step_has_one_child_however_often_it_is_started(self, bench: Bench):
        inner = bench.save([call("a")])
        run_id = bench.submit([sub("s", inner)])
        with session_scope() as session:
            lease = leases.claim(session, run_id, owner="worker", seconds=30)
        ids = set()
        for _ in range(3):
            with session_scope() as session:
                ids.add(children.start(session, lease, self.wanted(inner)).id)
        assert len(ids) == len(bench.children(run_id)) == 1
        with session_scope() as session:
            assert children.start(session, lease, self.wanted(inner, attempt=2)).id not in ids

    def test_a_driver_whose_time_is_over_starts_nothing(self, bench: Bench):
        inner = bench.save([call("a")])
        run_id = bench.submit([sub("s", inner)])
        with session_scope() as session:
            lease = leases.claim(session, run_id, owner="worker", seconds=0)
        with session_scope() as session:
            assert leases.claim(session, run_id, owner="another", seconds=30)
        with session_scope() as session, pytest.raises(LeaseLost):
            children.start(session, lease, self.wanted(inner))
        assert bench.children(run_id) == []

    def test_a_worker_that_died_before_the_child_was_there_leaves_it_to_the_next(self, bench: Bench):
        run_id = bench.submit([sub("s", bench.save([call("a")]))])
        with session_scope() as session:
            leases.claim(session, run_id, owner="worker", seconds=0)
            session.flush()
            row = session.get_one(Execution, run_id)
            factories.ran(session, row, "s", status="running")
        assert bench.settle(run_id).status == "success"
        assert len(bench.children(run_id)) == 1

    def test_a_worker_that_died_after_it_was_there_leaves_one_child(self, bench: Bench):
        inner = bench.save([call("a")])
        run_id = bench.submit([sub("s", inner)])
        with session_scope() as session:
            lease = leases.claim(session, run_id, owner="worker", seconds=0)
            children.start(session, lease, self.wanted(inner))
        bench.runtime.drive(run_id)
        (child,) = bench.children(run_id)
        bench.runtime.drive(child.id)
        assert bench.settle(run_id).status == "success"
        assert bench.world.calls == {"a": 1}

    def test_an_end_that_comes_while_the_parent_is_being_parked_is_not_missed(self, bench: Bench):
        inner = bench.save([transform("t", "1")])
        runs = [bench.submit([sub("s", inner)]) for _ in range(10)]
        helper = bench.another()
        stop = threading.Event()

        def drive_children() -> None:
            while not stop.is_set() or not bench.rung.empty():
                with suppress(Empty):
                    helper.drive(bench.rung.get(timeout=0.1))

        thread = threading.Thread(target=drive_children)
        thread.start()
        for run in runs:
            bench.runtime.drive(run)
        stop.set()
        thread.join(20)
        for run in runs:
            assert bench.execution(run).status == "success" or bench.execution(run).wake_at is not None
            assert bench.settle(run).status == "success"


class TestTurns:
    def test_parents_that_wait_leave_the_turns_to_their_children(self, bench: Bench):
        inner = bench.save([call("a")])
        runs = [bench.submit([sub("s", inner)]) for _ in range(ROOM * 3)]
        for run in runs:
            bench.runtime.drive(run)
        for run in runs:
            bench.settle(run)
        while not bench.rung.empty():
            bench.settle(bench.rung.get())
        assert {bench.execution(run).status for run in runs} == {"success"}

    def test_a_parent_that_was_woken_waits_its_turn_and_is_rung_for(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        top = bench.submit([sub("s", bench.save([call("a")]))])
        bench.runtime.drive(top)
        bench.runtime.drive(bench.rung.get())
        busy = [bench.in_background(bench.submit([call("slow")])) for _ in range(ROOM)]
        while bench.sql("SELECT count(*) FROM workflow_executions WHERE status = 'running'") < ROOM:
            pass
        assert bench.runtime.drive(top) is None
        bench.world.release.set()
        for wait in busy:
            wait()
        with session_scope() as session:
            assert sweeps.turn_after(session, top)[0] == top
        assert bench.settle(top).status == "success"


class TestAnAnswer:
    def test_that_comes_with_anothers_counts_once(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        """The first of two that are heard together is run again, which must not hear the second one by the way."""
        both_over = threading.Event()
        make = bench.runtime._driver

        def deaf(lease: leases.Lease) -> Any:
            driver = make(lease)
            wake = driver.wake
            monkeypatch.setattr(driver, "wake", lambda: both_over.is_set() and wake())
            return driver

        monkeypatch.setattr(bench.runtime, "_driver", deaf)
        bench.world.on("bad", World.fail(1, retryable=False))
        bench.world.on("slow", bench.world.hang)
        retry = {"maxAttempts": 2, "initialInterval": 0}
        failing, sound = bench.save([call("bad")]), bench.save([call("good")])
        top = bench.submit([sub("s1", failing, retry=retry), sub("s2", sound), call("slow")])
        left, other = bench.in_background(top), bench.another()
        for _ in range(2):
            other.drive(bench.rung.get(timeout=10))
        both_over.set()
        other.drive(bench.rung.get(timeout=10))
        bench.world.release.set()
        left()
        run = bench.settle(top)
        told = [(event.node_id, event.type) for event in bench.events(top)]
        assert (run.status, told.count(("s2", "node.success"))) == ("success", 1)
        assert run.credits_charged == sum(row.credits for row in bench.nodes(top).values()) + 1

    def test_that_comes_before_its_step_was_come_to_is_heard(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        run_id = bench.submit([transform("t", "1"), ask()], "t>q")
        bench.settle(run_id)
        make = bench.runtime._driver

        def answered(lease: leases.Lease) -> Any:
            driver = make(lease)
            approve(bench, run_id)
            driver.wake()
            return driver

        bench.sql("UPDATE workflow_executions SET wake_at = now() WHERE id = :id", id=run_id)
        monkeypatch.setattr(bench.runtime, "_driver", answered)
        bench.runtime.drive(run_id)
        assert bench.execution(run_id).status == "success"


class TestAChildWhoseStartWasNotConfirmed:
    @pytest.mark.parametrize("is_over", [False, True])
    def test_is_found_again(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, is_over: bool):
        start, other, tries = children.start, bench.another(), []

        def cut(session: Any, *args: Any) -> Any:
            started = start(session, *args)
            tries.append(started)
            if len(tries) == 1:
                session.commit()
                if is_over:
                    other.drive(started.id)
                raise OperationalError("COMMIT", {}, Exception("the connection is cut"))
            return started

        monkeypatch.setattr(children, "start", cut)
        monkeypatch.setattr(starting, "DATABASE_PAUSE", 0.05)
        run = bench.settle(bench.submit([sub("s", bench.save([call("a")]))]))
        assert (run.status, run.output["body"], len(bench.children(run.id))) == ("success", "a", 1)
