"""Expressions in a run: the same results after a change of workers, and within the run's budget."""

import time
from datetime import UTC, datetime, timedelta

from models.db import session_scope
from models.rules.values.run_limits import RUN_LIMITS
from models.services.executions import executions
from tests.support import factories
from tests.support.engine.bench import Bench, approve, ask, call, transform
from workers.engine.driver.outcomes import DriveResult

CHANCE = "{{ {now: now(), random: Math.random(), id: uuid()} }}"


def hand_over(bench: Bench, execution_id) -> None:
    """Let the worker leave while a call hangs, and another one go on."""
    left = bench.in_background(execution_id)
    assert bench.world.arrived.wait(10)
    assert bench.runtime.shut_down(5)
    bench.runtimes.remove(bench.runtime)
    assert left() is DriveResult.RELEASED
    bench.world.release.set()
    bench.runtime = bench.another()


def test_a_resumed_step_sends_what_it_sent_before(bench: Bench):
    bodies = []

    def heard(effect, attempt):
        bodies.append(effect.body)
        return bench.world.hang(effect, attempt)

    bench.world.on("a", heard)
    node = factories.node("a", "api_call", config={"method": "POST", "url": "http://world/a", "body": CHANCE})
    execution_id = bench.submit([node])
    hand_over(bench, execution_id)
    bench.runtime.drive(execution_id)
    assert bench.execution(execution_id).status == "success"
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    assert b'"random": 0.' in bodies[0]


def test_each_step_and_each_run_draws_numbers_of_its_own(bench: Bench):
    nodes = [transform("a", "Math.random()"), transform("b", "Math.random()")]
    drawn = [value for _ in range(2) for value in bench.run(nodes).output.values()]
    assert len(set(drawn)) == 4


def test_the_clock_is_when_the_step_began(bench: Bench):
    before = datetime.now(UTC)
    run = bench.run([transform("a", "[now(), now()]")])
    first, second = (datetime.fromisoformat(moment) for moment in run.output)
    assert first == second
    assert before - timedelta(seconds=1) < first < datetime.now(UTC) + timedelta(seconds=1)


def test_a_begun_iteration_is_not_evaluated_again(bench: Bench):
    bench.world.on("visit", bench.world.hang)
    until = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    loop = factories.node("each", "loop", config={"while": "now() < parseDate(input)"})
    execution_id = bench.submit([loop, call("visit", parentId="each")], value=until)
    hand_over(bench, execution_id)
    while datetime.now(UTC).isoformat() < until:
        time.sleep(0.1)
    bench.runtime.drive(execution_id)
    run = bench.execution(execution_id)
    assert (run.status, len(run.output), bench.world.calls["visit"]) == ("success", 1, 2)


def test_a_while_may_be_the_body_of_a_function(bench: Bench):
    body = "const last = index === 0 ? 1 : item;\nreturn last < 20;"
    loop = factories.node("each", "loop", config={"while": body})
    run = bench.run([loop, transform("double", "(item ?? 1) * 3", parentId="each")])
    assert run.output == [3, 9, 27]


def test_what_the_drivers_of_a_run_spend_is_added_up(bench: Bench):
    execution_id = bench.submit([transform("a", "1 + 1"), ask(), transform("b", "2 + 2")], "a>q", "q>b")
    bench.runtime.drive(execution_id)
    first = bench.execution(execution_id).fuel_spent
    approve(bench, execution_id)
    bench.runtime.drive(execution_id)
    run = bench.execution(execution_id)
    assert 0 < first < run.fuel_spent
    with session_scope() as session:
        told = executions.receipt(session, run)["technical"]
    assert told["fuel"] == {"used": run.fuel_spent, "limit": RUN_LIMITS.fuel}
    assert told["bytes"] == {"used": run.stored_bytes, "limit": RUN_LIMITS.bytes}


def test_a_run_that_has_spent_all_fails_at_its_next_expression(bench: Bench):
    execution_id = bench.submit([transform("a", "1 + 1")])
    bench.sql("UPDATE workflow_executions SET fuel_spent = :all WHERE id = :id", all=RUN_LIMITS.fuel, id=execution_id)
    bench.runtime.drive(execution_id)
    run = bench.execution(execution_id)
    assert (run.status, run.error["code"]) == ("failed", "run_fuel_spent")


def test_a_version_in_an_earlier_language_ends_its_runs_with_the_reason(bench: Bench):
    run = bench.run([transform("a", "size(input) > 2")], value=[1])
    assert (run.status, run.error["code"]) == ("failed", "invalid_expression")
    assert "There is no `size`" in run.error["message"]
