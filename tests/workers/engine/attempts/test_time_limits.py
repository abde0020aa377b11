"""Every node type ends by its `timeout`, or by its `deadline`, and fails as its `onError` says."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from models.rules.graph.effects import HttpCall
from models.rules.nodes import KINDS
from tests.support.engine.bench import Bench, ask, call, sub, transform
from tests.support.factories import node
from workers.engine.attempts.effect_executor import AttemptContext
from workers.engine.driver import driver
from workers.engine.driver.outcomes import DriveResult
from workers.gateways.base import CallFailed

AT_ONCE = 1e-9  # seconds: no node is as fast
SOON = 0.3


def obedient(effect: HttpCall, attempt: AttemptContext) -> Any:
    """Give up after the call's timeout, as gateways do."""
    if attempt.cancel.wait(effect.timeout):
        raise CallFailed("cancelled", "Cancelled.", outcome="cancelled")
    raise CallFailed("timeout", "It took too long.", outcome="timeout")


def slow(bench: Bench, kind: str, **rest: Any) -> list[dict[str, Any]]:
    """A node `n` of this kind that would go on for a long time, and what belongs to it."""
    bench.world.on("n", obedient)
    match kind:
        case "api_call":
            return [call("n", **rest)]
        case "ai_agent":
            bench.world.on("agent", obedient)
            return [node("n", kind, config={"prompt": "Hello", "provider": "openclaw"}, **rest)]
        case "wait":
            return [node("n", kind, config={"seconds": 3600}, **rest)]
        case "loop":
            inner = node("inner", "wait", config={"seconds": 3600}, parentId="n")
            return [node("n", kind, config={"items": [1, 2], "concurrency": 2}, **rest), inner]
        case "subworkflow":
            return [sub("n", bench.save([ask()]), **rest)]
        case _:
            return [node("n", kind, **rest)]


COMPUTED = ("input", "output", "process", "decision", "merge")
FAILING = [kind for kind in KINDS if kind not in ("approval", "ai_agent")]  # approval: it has a port for that


def drive(bench: Bench, execution_id: UUID, seconds: float = 20) -> None:
    """Drive until the run is over, as sweeps do when its time has come."""
    until = time.monotonic() + seconds
    while bench.execution(execution_id).finished_at is None and time.monotonic() < until:
        bench.runtime.drive(execution_id)
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["timeout", "deadline"])
@pytest.mark.parametrize("kind", FAILING)
def test_a_node_of_every_type_fails_when_its_time_is_over(bench: Bench, kind: str, name: str):
    limit = AT_ONCE if kind in COMPUTED else SOON
    execution_id = bench.submit(slow(bench, kind, **{name: limit}), value=1)
    drive(bench, execution_id)
    run = bench.execution(execution_id)
    assert run.status == "failed"
    assert run.error["nodeId"] == "n"
    assert run.error["code"] == ("timeout" if (kind, name) in CALLS else "node_timed_out")


CALLS = {("api_call", "timeout"), ("subworkflow", "timeout")}  # an attempt of it ended, which could be repeated


@pytest.mark.parametrize("kind", FAILING)
def test_a_node_of_every_type_that_took_too_long_goes_on_as_it_says(bench: Bench, kind: str):
    limit = AT_ONCE if kind in COMPUTED else SOON
    nodes = slow(bench, kind, deadline=limit, onError="continue", defaultValue="instead")
    execution_id = bench.submit([*nodes, transform("after", "data + '!'")], "n>after", value=1)
    drive(bench, execution_id)
    assert bench.execution(execution_id).status == "success"
    assert bench.nodes(execution_id)["after"].output == "instead!"


@pytest.mark.parametrize("kind", FAILING)
def test_a_node_of_every_type_that_took_too_long_takes_its_port_for_errors(bench: Bench, kind: str):
    nodes = slow(bench, kind, deadline=AT_ONCE if kind in COMPUTED else SOON, onError="branch")
    execution_id = bench.submit([*nodes, transform("after", "data.error.code")], "n:error>after", value=1)
    drive(bench, execution_id)
    assert bench.nodes(execution_id)["after"].output == "node_timed_out"


@pytest.mark.parametrize("given", [{"timeout": SOON}, {"deadline": SOON}, {"config": {"timeout": 1}}])
def test_a_question_has_one_time_limit_from_any_setting(bench: Bench, given: dict[str, Any]):
    nodes = [node("q", "approval", **given), transform("late", "'late'")]
    execution_id = bench.submit(nodes, "q:timeout>late")
    drive(bench, execution_id)
    assert bench.execution(execution_id).output == "late"


class TestALoopPastItsTime:
    def test_ends_the_calls_and_the_waits_of_its_iterations(self, bench: Bench):
        bench.world.on("hangs", bench.world.hang)
        children = [call("hangs", parentId="n"), node("w", "wait", config={"seconds": 60}, parentId="n")]
        loop = node("n", "loop", config={"items": [1, 2], "concurrency": 2}, timeout=SOON)
        execution_id = bench.submit([loop, *children])
        drive(bench, execution_id)
        assert bench.execution(execution_id).error["code"] == "node_timed_out"
        assert {row.status for row in bench.nodes(execution_id).values() if row.path} == {"cancelled"}
        assert all(attempt.cancel.wait(5) for attempt in bench.world.attempts)

    def test_ends_the_loops_in_it(self, bench: Bench):
        outer = node("n", "loop", config={"items": [1]}, timeout=SOON, onError="continue", defaultValue=0)
        inner = node("i", "loop", config={"items": [1]}, parentId="n", timeout=SOON)
        execution_id = bench.submit([outer, inner, node("w", "wait", config={"seconds": 60}, parentId="i")])
        drive(bench, execution_id)
        assert bench.execution(execution_id).output == 0
        assert bench.nodes(execution_id)["i@0"].status == "cancelled"

    def test_counts_from_its_start_for_every_driver(self, bench: Bench):
        loop = node("n", "loop", config={"items": [1]}, timeout=60)
        execution_id = bench.submit([loop, ask() | {"parentId": "n"}])
        assert bench.runtime.drive(execution_id) is DriveResult.PARKED
        run, row = bench.execution(execution_id), bench.nodes(execution_id)["n"]
        assert run.wake_at == row.started_at + timedelta(seconds=60)
        earlier = datetime.now(UTC) - timedelta(seconds=61)
        bench.sql("UPDATE node_executions SET started_at = :at WHERE node_id = 'n'", at=earlier)
        bench.sql("UPDATE workflow_executions SET wake_at = now()")
        assert bench.another().drive(execution_id) is DriveResult.ENDED
        assert bench.execution(execution_id).error["code"] == "node_timed_out"
        assert bench.nodes(execution_id)["q@0"].status == "cancelled"

    def test_takes_the_runs_along_that_it_started(self, bench: Bench):
        loop = node("n", "loop", config={"items": [1]}, timeout=60, onError="continue", defaultValue="late")
        execution_id = bench.submit([loop, sub("s", bench.save([ask()]), parentId="n"), ask("last")], "n>last")
        bench.runtime.drive(execution_id)
        bench.sql("UPDATE node_executions SET started_at = now() - interval '61 seconds' WHERE node_id = 'n'")
        bench.sql("UPDATE workflow_executions SET wake_at = now() WHERE id = :id", id=execution_id)
        assert bench.another().drive(execution_id) is DriveResult.PARKED  # for the last question
        (child,) = bench.children(execution_id)
        assert (child.status, bench.nodes(execution_id)["s@0"].status) == ("cancelled", "cancelled")

    def test_that_ends_in_time_is_not_affected(self, bench: Bench):
        loop = node("n", "loop", config={"items": [1, 2]}, timeout=60)
        run = bench.run([loop, transform("t", "item * 2", parentId="n")])
        assert (run.status, run.output) == ("success", [2, 4])


def test_a_wait_goes_on_in_time_beside_a_call_that_takes_longer(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "INLINE_WAIT_SECONDS", 0.5)  # seconds; a longer wait parks a run that does nothing else
    bench.world.on("slow", bench.world.hang)
    bench.world.on("after", lambda *_: bench.world.release.set())
    execution_id = bench.submit([call("slow"), node("w", "wait", config={"seconds": 1}), call("after")], "w>after")
    bench.in_background(execution_id)()
    assert bench.execution(execution_id).status == "success"


def test_the_shorter_of_two_timeouts_of_a_call_counts(bench: Bench):
    given: list[float] = []
    bench.world.on("n", lambda effect, _: given.append(effect.timeout))
    for own, of_node in ((5, 60), (60, 5), (None, 5), (None, None)):
        config = {"url": "http://world/n"} | ({"timeout": own} if own else {})
        bench.run([node("n", "api_call", config=config) | ({"timeout": of_node} if of_node else {})])
    assert given == [5, 5, 5, 30]
