"""A failed run is retried from where it failed, and pays only for what runs."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from models.db import session_scope
from models.services import retries
from models.services.retries import ConfirmationRequired, NotRetryable, Retried
from models.user import User
from tests import factories
from tests.engine.conftest import Bench, call, transform
from tests.engine.world import World


def retry(bench: Bench, execution_id: UUID, **rest: Any) -> Retried:
    with session_scope() as session:
        return retries.retry(session, session.get_one(User, bench.user_id), execution_id, **rest)


def test_finished_nodes_are_taken_over_and_the_rest_runs(bench: Bench):
    bench.world.on("b", World.fail(1, retryable=False))
    nodes = [call("a"), transform("x", "nodes.a.output.body"), call("b"), transform("c", "nodes.x.output")]
    failed = bench.run(nodes, "a>x", "x>b", "b>c")
    assert failed.status == "failed"
    retried = retry(bench, failed.id, max_credits=Decimal(5))
    assert (retried.nodes, retried.credits) == (2, Decimal("0.20"))
    bench.runtime.drive(retried.execution.id)
    run = bench.execution(retried.execution.id)
    assert (run.status, run.output, run.credits_charged) == ("success", "a", Decimal("1.20"))
    assert bench.world.calls == {"a": 1, "b": 2}
    assert run.retry_of == failed.id


def test_iterations_that_were_finished_are_taken_over(bench: Bench):
    failing = {"2"}

    def visit(effect: Any, attempt: Any) -> str:
        if attempt.step.path in failing:
            failing.clear()
            return World.fail(1, retryable=False)(effect, attempt)
        return attempt.step.path

    bench.world.on("visit", visit)
    each = factories.node("each", "loop", config={"items": "{{ input }}"})
    failed = bench.run([each, call("visit", parentId="each")], value=["a", "b", "c", "d"])
    assert failed.status == "failed"
    retried = retry(bench, failed.id, max_credits=Decimal(5))
    bench.runtime.drive(retried.execution.id)
    assert bench.execution(retried.execution.id).status == "success"
    assert bench.world.calls["visit"] == 5


def test_a_run_that_did_not_fail_is_not_retried(bench: Bench):
    run = bench.run([call("a")])
    with pytest.raises(NotRetryable):
        retry(bench, run.id)


def test_a_node_that_acts_once_is_asked_about_first(bench: Bench):
    bench.world.on("pay", World.fail(1, retryable=False))
    failed = bench.run([call("pay", sideEffects="once")])
    with pytest.raises(ConfirmationRequired) as refusal:
        retry(bench, failed.id)
    assert [error.field for error in refusal.value.errors] == ["repeat"]
    retried = retry(bench, failed.id, repeat=["pay"], max_credits=Decimal(5))
    bench.runtime.drive(retried.execution.id)
    assert bench.execution(retried.execution.id).status == "success"
