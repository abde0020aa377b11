"""A failed run is retried from where it failed, and pays only for what runs."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from models.db import session_scope
from models.errors import FieldError, InvalidInput
from models.services.executions import retries
from models.services.executions.retries import ConfirmationRequired, NotRetryable, Retried
from models.services.workflows.saved_versions import InvalidGraph
from models.tables import Execution, User, Workflow
from tests.support import factories
from tests.support.engine.bench import Bench, call, connect_all, transform
from tests.support.engine.world import World


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


class TestAnotherVersion:
    """A retry with an edited graph keeps the nodes that the edit does not affect."""

    def edit(self, bench: Bench, run: Execution, *nodes: Any, pairs: tuple[str, ...] = (), **columns: Any) -> None:
        """Save another version of the run's workflow."""
        with session_scope() as session:
            graph = {"nodes": list(nodes), "connections": connect_all(*pairs)}
            factories.version(session, session.get_one(Workflow, run.workflow_id), graph=graph, **columns)

    def test_a_successful_run_is_run_again_from_the_edited_node_on(self, bench: Bench):
        nodes, pairs = [call("a"), call("b"), transform("c", "1")], ("a>b", "b>c")
        run = bench.run(nodes, *pairs)
        self.edit(bench, run, *nodes[:2], transform("c", "nodes.b.output.body"), pairs=pairs)
        retried = retry(bench, run.id, version="latest")
        assert (retried.nodes, retried.credits) == (2, Decimal("0.20"))
        bench.runtime.drive(retried.execution.id)
        again = bench.execution(retried.execution.id)
        assert (again.status, again.output, again.credits_charged) == ("success", "b", Decimal("1.10"))
        assert bench.world.calls == {"a": 1, "b": 1}
        assert (again.retry_of, again.version_id == run.version_id) == (run.id, False)

    def test_what_the_edit_touched_is_called_again_and_asked_about_first(self, bench: Bench):
        run = bench.run([call("a"), call("pay", sideEffects="once"), transform("c", "1")], "a>pay", "pay>c")
        edited = call("pay", sideEffects="once")
        edited["config"]["headers"] = {"X-Edited": "yes"}
        self.edit(bench, run, call("a"), edited, transform("c", "1"), pairs=("a>pay", "pay>c"))
        with pytest.raises(ConfirmationRequired):
            retry(bench, run.id, version=2)
        retried = retry(bench, run.id, version=2, repeat=["pay"], max_credits=Decimal(5))
        bench.runtime.drive(retried.execution.id)
        assert bench.world.calls == {"a": 1, "pay": 2}

    def test_an_older_version_is_named_by_its_number(self, bench: Bench):
        run = bench.run([call("a"), transform("c", "1")], "a>c")
        self.edit(bench, run, call("a"), transform("c", "2"), pairs=("a>c",))
        second = retry(bench, run.id, version="latest").execution.id
        bench.runtime.drive(second)
        third = retry(bench, second, version=1).execution.id
        bench.runtime.drive(third)
        assert [bench.execution(i).output for i in (second, third)] == [2, 1]
        assert bench.world.calls == {"a": 1}

    def test_a_version_that_there_is_not_is_refused_by_name(self, bench: Bench):
        run = bench.run([call("a")])
        with pytest.raises(InvalidInput) as refusal:
            retry(bench, run.id, version=7)
        assert refusal.value.errors == (
            FieldError("version", "Must be the number of a version of this workflow, or `latest`."),
        )

    def test_a_version_with_errors_does_not_run(self, bench: Bench):
        run = bench.run([call("a")])
        self.edit(bench, run, call("a"), lint_errors=[{"field": "nodes.0", "message": "Wrong."}])
        with pytest.raises(InvalidGraph):
            retry(bench, run.id, version="latest")

    def test_a_run_that_is_not_over_is_left_alone(self, bench: Bench):
        with pytest.raises(NotRetryable):
            retry(bench, bench.submit([call("a")]), version="latest")
