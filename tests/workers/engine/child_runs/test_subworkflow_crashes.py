"""A child is started once, whatever happens meanwhile, its answer counts once, and parents leave turns to children."""

import threading
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from queue import Empty
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError

from models.db import session_scope
from models.errors import LeaseLost
from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.effects import RunWorkflow
from models.rules.prices.pricing import PLANS, Tier
from models.services.orchestration import children, leases, redelivery
from models.services.orchestration.children import Wanted
from models.tables import Execution
from tests.support import factories
from tests.support.engine.bench import Bench, approve, ask, call, sub, transform
from tests.support.engine.world import World
from workers.engine.driver import child_runs as starting
from workers.engine.values.events import AnswerGiven, LeaseEvent

ROOM = PLANS[Tier.FREE].concurrent_runs


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
                ids.add(children.start(session, lease, self.wanted(inner)).run.execution_id)
        assert len(ids) == len(bench.children(run_id)) == 1
        with session_scope() as session:
            assert children.start(session, lease, self.wanted(inner, attempt=2)).run.execution_id not in ids

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

    def test_a_worker_that_died_before_the_child_started_leaves_it_to_the_next(self, bench: Bench):
        run_id = bench.submit([sub("s", bench.save([call("a")]))])
        with session_scope() as session:
            leases.claim(session, run_id, owner="worker", seconds=0)
            session.flush()
            row = session.get_one(Execution, run_id)
            factories.ran(session, row, "s", status=NodeStatus.RUNNING)
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
            while not stop.is_set() or not bench.enqueued.empty():
                with suppress(Empty):
                    helper.drive(bench.enqueued.get(timeout=0.1))

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
        while not bench.enqueued.empty():
            bench.settle(bench.enqueued.get())
        assert {bench.execution(run).status for run in runs} == {"success"}

    def test_a_woken_parent_waits_for_a_slot_and_is_enqueued(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        top = bench.submit([sub("s", bench.save([call("a")]))])
        bench.runtime.drive(top)
        bench.runtime.drive(bench.enqueued.get())
        busy = [bench.in_background(bench.submit([call("slow")])) for _ in range(ROOM)]
        while bench.sql("SELECT count(*) FROM workflow_executions WHERE status = 'running'") < ROOM:
            pass
        assert bench.runtime.drive(top) is None
        bench.world.release.set()
        for wait in busy:
            wait()
        assert top in [run.execution_id for run in redelivery.next_after(top)]
        assert bench.settle(top).status == "success"


class TestAnAnswer:
    def test_that_comes_with_anothers_counts_once(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        """The first of two results that arrive together is handled, which must not consume the second one."""
        both_over = threading.Event()
        make = bench.runtime._driver

        def deaf(lease: leases.Lease) -> Any:
            driver = make(lease)
            post = driver.post

            def hear(event: LeaseEvent) -> None:
                if both_over.is_set() or not isinstance(event, AnswerGiven):
                    post(event)

            monkeypatch.setattr(driver, "post", hear)  # for the heartbeat; what the driver owns has its own already
            return driver

        monkeypatch.setattr(bench.runtime, "_driver", deaf)
        bench.world.on("bad", World.fail(1, retryable=False))
        bench.world.on("slow", bench.world.hang)
        retry = {"maxAttempts": 2, "initialInterval": 0}
        failing, sound = bench.save([call("bad")]), bench.save([call("good")])
        top = bench.submit([sub("s1", failing, retry=retry), sub("s2", sound), call("slow")])
        left, other = bench.in_background(top), bench.another()
        for _ in range(2):
            other.drive(bench.enqueued.get(timeout=10))
        both_over.set()
        other.drive(bench.enqueued.get(timeout=10))
        bench.world.release.set()
        left()
        run = bench.settle(top)
        told = [(event.node_id, event.type) for event in bench.events(top)]
        assert (run.status, told.count(("s2", "node.success"))) == ("success", 1)
        assert run.credits_charged == sum(row.credits for row in bench.nodes(top).values()) + 1

    def test_that_comes_before_its_step_is_reached_counts(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        run_id = bench.submit([transform("t", "1"), ask()], "t>q")
        bench.settle(run_id)
        make = bench.runtime._driver

        def answered(lease: leases.Lease) -> Any:
            driver = make(lease)
            approve(bench, run_id)
            driver.post(AnswerGiven())
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
                    other.drive(started.run.execution_id)
                raise OperationalError("COMMIT", {}, Exception("the connection is cut"))
            return started

        monkeypatch.setattr(children, "start", cut)
        monkeypatch.setattr(starting, "DATABASE_PAUSE", 0.05)
        run = bench.settle(bench.submit([sub("s", bench.save([call("a")]))]))
        assert (run.status, run.output["body"], len(bench.children(run.id))) == ("success", "a", 1)
