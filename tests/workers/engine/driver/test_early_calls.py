"""Safe calls are sent while their start is being stored, and nothing follows from them until it is."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.rules.executions.schedule import Step
from models.rules.graph.effects import HttpCall
from models.rules.graph.graph import Node, Retry
from models.rules.graph.kinds import NodeCall
from models.rules.prices.pricing import Tier
from models.rules.values.scope import Scope
from models.services.orchestration import journal as services
from models.services.orchestration import leases
from tests.support.engine.bench import Bench, call, event_types
from tests.support.faults.programs import eventually
from threads import Pool
from workers.engine.attempts.effect_pool import EffectPool
from workers.engine.attempts.limiter import AdaptiveLimiter
from workers.engine.driver.outcomes import DriveResult
from workers.engine.values.attempt import StepAttempt
from workers.gateways.base import CallFailed

PAUSE = 0.3  # seconds in which something would happen that must not


@pytest.fixture(autouse=True)
def without_a_limit(bench: Bench) -> None:
    """No call is asked for in the database, which takes as long as a write."""
    bench.sql("UPDATE users SET subscription_tier = 'enterprise'")


def soon(holds: Callable[[], bool]) -> None:
    eventually(holds, 10)


@contextmanager
def nothing_stored(execution_id: UUID) -> Iterator[Session]:
    """Hold up every write of a run until the end of the block; its session may change the run."""
    with session_scope() as session:
        session.execute(text("SELECT FROM workflow_executions WHERE id = :id FOR UPDATE"), {"id": execution_id})
        yield session


def gate(bench: Bench, name: str) -> threading.Event:
    """Let calls of `name` wait for this event."""
    opened = threading.Event()

    def wait(*_: Any) -> str:
        bench.world.arrived.set()
        assert opened.wait(20)
        return name

    bench.world.on(name, wait)
    return opened


def calls_counted(bench: Bench, execution_id: UUID) -> int:
    return bench.sql("SELECT sum(requests) FROM api_calls WHERE execution_id = :id", id=execution_id)


@contextmanager
def after_a(bench: Bench, *nodes: dict[str, Any], method: str = "GET") -> Iterator[Any]:
    """Drive a chain that begins with a call of `a`; yield it when `a` has ended, while nothing more can be stored."""
    chain = [call("a", method=method), *nodes]
    pairs = [f"{one['id']}>{other['id']}" for one, other in itertools.pairwise(chain)]
    opened = gate(bench, "a")
    execution_id = bench.submit(chain, *pairs)
    left = bench.in_background(execution_id)
    assert bench.world.arrived.wait(10)
    soon(lambda: "a" in bench.nodes(execution_id))
    with nothing_stored(execution_id) as session:
        opened.set()
        yield execution_id, left, session


class TestSent:
    def test_a_safe_call_is_sent_while_its_start_is_being_stored(self, bench: Bench):
        with after_a(bench, call("b"), call("c")) as (execution_id, left, _):
            soon(lambda: bench.world.calls["b"] == 1)
            assert {name: row.status for name, row in bench.nodes(execution_id).items()} == {"a": "running"}
        assert left() is DriveResult.ENDED
        assert bench.world.calls == {"a": 1, "b": 1, "c": 1}

    def test_its_result_is_not_taken_before_that(self, bench: Bench):
        with after_a(bench, call("b"), call("c")) as (_, left, _):
            soon(lambda: bench.world.calls["b"] == 1)
            time.sleep(PAUSE)
            assert bench.world.calls["c"] == 0
        assert left() is DriveResult.ENDED

    @pytest.mark.parametrize("tier", [Tier.FREE, Tier.ENTERPRISE])
    def test_history_charge_and_count_are_those_of_any_call(self, bench: Bench, tier: Tier):
        bench.sql("UPDATE users SET subscription_tier = :tier", tier=tier.value)
        run = bench.run([call("a"), call("b")], "a>b")
        assert (run.status, run.credits_charged, run.nodes_executed) == ("success", Decimal("1.20"), 2)
        told = [type_.partition(".")[2] for type_ in event_types(bench, run.id)]
        assert told == ["queued", "started", "started", "success", "started", "success", "success"]
        assert calls_counted(bench, run.id) == 2

    def test_the_count_of_one_that_could_not_be_sent_is_taken_back(self, bench: Bench):
        def refuse(*_: Any) -> None:
            raise CallFailed("egress_refused", "No.", sent=False)

        bench.world.on("b", refuse)
        with after_a(bench, call("b")) as (execution_id, left, _):
            soon(lambda: bench.world.calls["b"] == 1)
            time.sleep(PAUSE)
        assert left() is DriveResult.ENDED
        assert bench.execution(execution_id).error["code"] == "egress_refused"
        assert calls_counted(bench, execution_id) == 1


class TestHeldBack:
    @pytest.mark.parametrize(
        "node", [call("b", method="POST"), call("b", onCrash="fail"), call("b", sideEffects="once")]
    )
    def test_a_call_that_may_change_something_waits_for_its_start(self, bench: Bench, node: dict[str, Any]):
        with after_a(bench, node) as (_, left, _):
            time.sleep(PAUSE)
            assert bench.world.calls["b"] == 0
        assert left() is DriveResult.ENDED
        assert bench.world.calls["b"] == 1

    def test_a_safe_call_waits_for_a_result_that_cannot_be_had_again(self, bench: Bench):
        """Else an answer that kills the worker would lose it."""
        with after_a(bench, call("b"), method="POST") as (_, left, _):
            time.sleep(PAUSE)
            assert bench.world.calls["b"] == 0
        assert left() is DriveResult.ENDED
        assert bench.world.calls["b"] == 1

    def test_a_safe_call_waits_while_an_earlier_write_is_not_stored(self, bench: Bench):
        payment, look = gate(bench, "payment"), gate(bench, "look")
        left = bench.in_background(
            bench.submit([call("payment", method="POST"), call("look"), call("next")], "look>next")
        )
        soon(lambda: bench.world.calls["payment"] == bench.world.calls["look"] == 1)
        time.sleep(PAUSE)  # else the other run would not be early
        with after_a(bench, call("b")) as (_, others_left, _):  # whose driver writes, so that the first one goes on
            soon(lambda: bench.world.calls["b"] == 1)
            payment.set()
            time.sleep(PAUSE)
            look.set()
            time.sleep(PAUSE)
            assert bench.world.calls["next"] == 0
        assert (left(), others_left()) == (DriveResult.ENDED, DriveResult.ENDED)
        assert bench.world.calls["next"] == 1

    def test_a_further_try_waits_for_its_start(self, bench: Bench):
        release = threading.Event()

        def fail_then_answer(_: Any, attempt: Any) -> str:
            if attempt.number == 1:
                bench.world.arrived.set()
                assert release.wait(20)
                raise CallFailed("http_503", "The service is away.", retryable=True)
            return "at last"

        bench.world.on("a", fail_then_answer)
        execution_id = bench.submit([call("a", retry={"maxAttempts": 2, "initialInterval": 0})])
        left = bench.in_background(execution_id)
        soon(lambda: "a" in bench.nodes(execution_id))
        with nothing_stored(execution_id):
            release.set()
            time.sleep(PAUSE)
            assert bench.world.calls["a"] == 1
        assert left() is DriveResult.ENDED
        assert bench.world.calls["a"] == 2


class TestDisturbed:
    def test_a_driver_that_lost_its_lease_does_not_take_the_result(self, bench: Bench):
        with after_a(bench, call("b"), call("c")) as (execution_id, left, session):
            soon(lambda: bench.world.calls["b"] == 1)
            lost = "UPDATE workflow_executions SET epoch = epoch + 1, lease_expires_at = now() WHERE id = :id"
            session.execute(text(lost), {"id": execution_id})
        assert left() is DriveResult.LOST
        assert bench.world.calls["c"] == 0
        assert {name: row.status for name, row in bench.nodes(execution_id).items()} == {"a": "running"}
        assert bench.another().drive(execution_id) is DriveResult.ENDED
        run = bench.execution(execution_id)
        assert (run.status, run.credits_charged, run.nodes_executed) == ("success", Decimal("1.30"), 3)
        assert bench.world.calls == {"a": 2, "b": 2, "c": 1}
        assert "node.late_result" not in event_types(bench, execution_id)
        assert bench.violations() == []

    def test_a_worker_that_leaves_meanwhile_leaves_the_run_to_the_next_one(self, bench: Bench):
        with after_a(bench, call("b"), call("c")) as (execution_id, left, _):
            soon(lambda: bench.world.calls["b"] == 1)
            leaving = threading.Thread(target=lambda: bench.runtime.shut_down(20))
            leaving.start()
            time.sleep(PAUSE)
        leaving.join(20)
        assert left() is DriveResult.RELEASED
        assert bench.another().drive(execution_id) is DriveResult.ENDED
        run = bench.execution(execution_id)
        assert (run.status, run.credits_charged, run.crash_log) == ("success", Decimal("1.30"), None)
        assert bench.world.calls == {"a": 1, "b": 2, "c": 1}

    @pytest.mark.parametrize("before", ["a", ""])
    def test_nothing_follows_when_its_start_cannot_be_stored(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, before: str
    ):
        record = services.record_alone

        def refuse_b(batch: Any) -> Any:
            if any(row.step.node_id == "b" and not row.finished_at for progress in batch for row in progress.nodes):
                soon(lambda: bench.world.calls["b"] == 1)
                raise ValueError("not storable")
            return record(batch)

        monkeypatch.setattr(services, "record_alone", refuse_b)
        run = bench.run([*map(call, before), call("b"), call("c")], *(f"{name}>b" for name in before), "b>c")
        assert (run.status, run.error["code"]) == ("failed", "internal_error")
        assert (bench.world.calls["b"], bench.world.calls["c"]) == (1, 0)

    def test_a_driver_that_leaves_sends_none(self, bench: Bench):
        execution_id = bench.submit([call("a")])
        with session_scope() as session:
            lease = leases.claim(session, execution_id, owner="leaving", seconds=30)
        effects = EffectPool(lease, bench.world, Pool(1, "effect"), AdaptiveLimiter({}), lambda _: None)
        node = NodeCall(Node("a", "api_call", "A", {}), {}, Scope({}), None, {})
        receipt = effects.receipt(StepAttempt(Step("a"), node, HttpCall("GET", "http://world/a"), Retry(1)))
        effects.refuse_starts()
        receipt.send_early()
        receipt.tell(None)
        time.sleep(PAUSE)
        assert bench.world.calls["a"] == 0
