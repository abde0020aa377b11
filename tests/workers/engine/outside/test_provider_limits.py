"""One burst of calls does not burn the attempts of the runs behind it: against servers that refuse what is too much."""

import threading
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from models.db import session_scope
from models.services.executions import wait_status
from models.tables import Execution
from tests.support.factories import node
from tests.workers.engine.driver.test_paused_steps import let_time_pass
from tests.workers.engine.outside.conftest import Outside, model, turn
from workers.engine.attempts import retry_policy, runner
from workers.engine.driver.outcomes import DriveResult
from workers.engine.process.runtime import EngineConfig

CALLS = 200


def fan_out(child: dict[str, Any], concurrency: int = 50) -> list[dict[str, Any]]:
    each = node("each", "loop", config={"items": "{{ input }}", "concurrency": concurrency, "maxIterations": 1000})
    return [each, child | {"parentId": "each"}]


class TestABurst:
    def test_of_calls_succeeds_although_the_account_has_little_room(self, outside: Outside):
        outside.ai.room = 5
        waits = []
        for _ in range(4):
            nodes = fan_out(model("ask", "[[sim:delay=0.02]] [[sim:say=yes]]"))
            execution_id = outside.submit(nodes, value=list(range(CALLS // 4)), cap=500)
            waits.append((execution_id, outside.in_background(execution_id)))
        for execution_id, left in waits:
            assert left() is DriveResult.ENDED
            run = outside.execution(execution_id)
            assert (run.status, [item["text"] for item in run.output]) == ("success", ["yes"] * (CALLS // 4))
            rows = outside.nodes(execution_id).values()
            assert {row.attempt for row in rows} == {1}
        assert outside.ai.max_busy == 5
        assert 0 < outside.ai.refused < CALLS / 4

    def test_of_turns_never_fills_the_pool_of_threads(self, outside: Outside):
        runtime = outside.another(EngineConfig(lease_seconds=30, heartbeat_seconds=1, effect_threads=4, agent_turns=2))
        turns = outside.submit(fan_out(turn("ask", "[[sim:hang]]")), value=list(range(20)), cap=500)
        left = outside.in_background(turns, runtime)
        outside.until(lambda: outside.openclaw.active() == 2)
        other = outside.submit([model("m", "[[sim:say=quick]]")])
        assert outside.in_background(other, runtime)() is DriveResult.ENDED
        assert outside.execution(other).output["text"] == "quick"
        with outside.cancelled_soon(turns, left):
            outside.until(lambda: outside.openclaw.active() == 0)


class TestARefusal:
    @pytest.fixture(autouse=True)
    def _soon(self, outside: Outside) -> None:
        outside.ai.retry_after = "0.5"

    def test_is_no_attempt(self, outside: Outside):
        run = outside.run([model("m", "[[sim:429*2]] [[sim:say=yes]]", retry={"maxAttempts": 1})])
        assert (run.status, run.output["text"], run.credits_charged) == ("success", "yes", Decimal("3.10"))
        assert outside.nodes(run.id)["m"].attempt == 1
        retrying = [event for event in outside.events(run.id) if event.type == "node.retrying"]
        assert [event.data["refused"] for event in retrying] == [1, 2]

    def test_is_forgiven_so_often_and_no_more(self, outside: Outside, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(retry_policy, "UNCOUNTED_RETRIES", 1)
        run = outside.run([model("m", "[[sim:429]]", retry={"maxAttempts": 1})])
        assert (run.status, run.error["code"], run.credits_charged) == ("failed", "rate_limited", 1)
        assert len(outside.ai.requests) == 2

    def test_makes_all_calls_of_that_account_wait_and_no_others(self, outside: Outside):
        outside.ai.retry_after = "3"
        slow = outside.submit([model("m", "[[sim:429*1]] [[sim:say=yes]]")])
        left = outside.in_background(slow)
        outside.until(lambda: "node.retrying" in outside.types(slow))
        behind = outside.submit([model("m", "[[sim:say=later]]")])
        in_flight_ref = outside.in_background(behind)
        outside.until(lambda: "node.queued" in outside.types(behind))
        assert outside.run([model("m", "[[sim:say=other]]", "anthropic")]).output["text"] == "other"
        assert len(outside.ai.requests) == 2
        left()
        in_flight_ref()
        assert outside.execution(behind).output["text"] == "later"


class TestQueueing:
    """The wait status says which queue a call is in."""

    @staticmethod
    def told(outside: Outside, execution_id: UUID) -> dict[str, Any]:
        with session_scope() as session:
            return wait_status.wait_status(session, session.get_one(Execution, execution_id)).waiting_for or {}

    def queue(self, outside: Outside, execution_id: UUID) -> Any:
        return next((node["queue"] for node in self.told(outside, execution_id).get("nodes", [])), None)

    def test_is_recorded_for_the_refused_call_and_those_behind_it(self, outside: Outside):
        outside.ai.retry_after = "4"
        refused = outside.submit([model("m", "[[sim:429*1]] [[sim:say=yes]]")])
        left = outside.in_background(refused)
        outside.until(lambda: "node.retrying" in outside.types(refused))
        behind = outside.submit([model("m", "[[sim:say=later]]")])
        in_flight_ref = outside.in_background(behind)
        for execution_id in (refused, behind):
            outside.until(lambda execution_id=execution_id: self.queue(outside, execution_id))
            told = self.told(outside, execution_id)
            assert (told["nodes"][0]["queue"]["for"], told["nodes"][0]["attempt"]) == ("openai", 1)
            assert "M: attempt 1 of 3 is queued for openai since" in told["message"]
        assert outside.nodes(behind)["m"].status == "pending"
        left()
        in_flight_ref()
        assert outside.execution(behind).credits_charged == Decimal("3.10")
        assert outside.nodes(behind)["m"].external_ref is None

    def test_ends_when_the_call_leaves(self, outside: Outside):
        outside.ai.retry_after = "0.5"
        execution_id = outside.submit([model("m", "[[sim:429*1]] [[sim:hang]]")])
        left = outside.in_background(execution_id)
        outside.until(lambda: self.queue(outside, execution_id))
        outside.until(lambda: outside.ai.under_way == 1)
        outside.until(lambda: not self.queue(outside, execution_id))
        assert "M: attempt 1 of 3 asks openai since" in self.told(outside, execution_id)["message"]
        with outside.cancelled_soon(execution_id, left):
            pass

    def test_of_the_gateway_is_recorded_and_a_given_up_node_is_free(self, outside: Outside):
        runtime = outside.another(EngineConfig(lease_seconds=30, heartbeat_seconds=1, effect_threads=4, agent_turns=1))
        first = outside.submit([turn("ask", "[[sim:hang]]")])
        left = outside.in_background(first, runtime)
        outside.until(lambda: outside.openclaw.active() == 1)
        behind = outside.submit([turn("ask", "[[sim:reply=x]]")])
        in_flight_ref = outside.in_background(behind, runtime)
        outside.until(lambda: self.queue(outside, behind))
        assert "is queued for openclaw" in self.told(outside, behind)["message"]
        outside.cancel(behind)
        in_flight_ref()
        assert (outside.execution(behind).status, outside.nodes(behind)["ask"].credits) == ("cancelled", 0)
        outside.cancel(first)
        left()

    def test_is_no_crash_for_a_node_that_must_not_be_repeated(self, outside: Outside):
        outside.ai.retry_after = "15"
        first = outside.submit([model("m", "[[sim:429]]")])
        left = outside.in_background(first)
        outside.until(lambda: self.queue(outside, first))
        behind = outside.submit([model("m", "[[sim:say=x]]", onCrash="fail")])
        stuck = outside.another()
        in_flight_ref = outside.in_background(behind, outside.runtime)
        outside.until(lambda: self.queue(outside, behind))

        def taken_over() -> bool:
            # The one that has it renews its lease from time to time, which may be just now.
            expired = "UPDATE workflow_executions SET lease_expires_at = now() - interval '1 second' WHERE id = :id"
            outside.sql(expired, id=behind)
            return stuck.drive(behind) is DriveResult.ENDED

        outside.until(taken_over)
        assert outside.execution(behind).output["text"] == "x"
        in_flight_ref()
        outside.cancel(first)
        left()


class TestALongPause:
    def test_parks_the_run_and_queued_calls_and_goes_on_in_another_worker(self, outside: Outside):
        outside.ai.retry_after = "60"
        outside.ai.room = 0
        execution_id = outside.submit([model("a", "[[sim:say=a]]"), model("b", "[[sim:say=b]]")])
        assert outside.runtime.drive(execution_id) is DriveResult.PARKED
        behind = outside.submit([model("c", "[[sim:say=c]]")])
        assert outside.runtime.drive(behind) is DriveResult.PARKED
        run = outside.execution(behind)
        assert run.waiting_for["type"] == "provider"
        refused = outside.ai.refused
        assert refused == 2
        outside.ai.room = None
        let_time_pass(outside)
        outside.sql("UPDATE workflow_executions SET wake_at = now()")
        assert outside.another().drive(execution_id) is DriveResult.ENDED
        nodes = outside.nodes(execution_id)
        assert {(row.status, row.attempt) for row in nodes.values()} == {("success", 1)}


class TestALongQueue:
    def test_does_not_hold_a_worker(self, outside: Outside, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(runner, "LONG_PAUSE", 0.3)
        runtime = outside.another(EngineConfig(lease_seconds=30, heartbeat_seconds=1, effect_threads=4, agent_turns=1))
        first = outside.submit([turn("ask", "[[sim:hang]]")])
        left = outside.in_background(first, runtime)
        outside.until(lambda: outside.openclaw.active() == 1)
        monkeypatch.setattr(runtime._limiter, "expected_wait", lambda _: 30.0)
        behind = outside.submit([turn("ask", "[[sim:reply=x]]")])
        assert outside.in_background(behind, runtime)() is DriveResult.PARKED
        run = outside.execution(behind)
        assert (run.waiting_for["type"], "openclaw" in run.waiting_for["message"]) == ("provider", True)
        with outside.cancelled_soon(first, left):
            outside.until(lambda: outside.openclaw.active() == 0)
        let_time_pass(outside)
        outside.sql("UPDATE workflow_executions SET wake_at = now() WHERE id = :id", id=behind)
        assert runtime.drive(behind) is DriveResult.ENDED
        assert outside.execution(behind).output["text"] == "x"


def test_threads_are_few(outside: Outside):
    """A fan-out of 300 waiting calls is no thread each."""
    outside.ai.room = 2
    before = threading.active_count()
    execution_id = outside.submit(fan_out(model("m", "[[sim:hang]]")), value=list(range(300)), cap=1000)
    left = outside.in_background(execution_id)
    outside.until(lambda: outside.ai.under_way == 2)
    assert threading.active_count() - before < 40
    with outside.cancelled_soon(execution_id, left):
        outside.until(lambda: outside.ai.under_way == 0)
