"""A run that is retried lets what it had started go on from where that failed, if it would do the same again."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from models.db import session_scope
from models.services.executions.retries import ConfirmationRequired
from models.tables import Execution, Workflow
from tests.support import factories
from tests.support.engine.bench import Bench, ask, call, cancel, connect_all, sub
from tests.support.engine.world import World
from tests.workers.engine.driver.test_retries import retry

STEPS = ("a>bad", "bad>c")
_BEING_ENDED = """
    WITH old AS (DELETE FROM workflow_executions WHERE id = :id RETURNING *)
    INSERT INTO workflow_executions
    SELECT (jsonb_populate_record(
                NULL::workflow_executions, to_jsonb(old) || '{"status": "cancelling", "finished_at": null}')).*
      FROM old
"""


def steps() -> list[dict[str, Any]]:
    return [call("a"), call("bad"), call("c")]


def again(bench: Bench, failed: UUID, **rest: Any) -> tuple[Execution, Execution]:
    """The run that repeats a failed one, and its child, when they are over."""
    run = bench.settle(retry(bench, failed, max_credits=Decimal(50), **rest).execution.id)
    return run, bench.children(run.id)[0]


@pytest.fixture
def failing(bench: Bench) -> UUID:
    """A workflow whose second node fails once."""
    bench.world.on("bad", World.fail(1, retryable=False))
    return bench.save(steps(), *STEPS, worst_case="5.00")


def test_its_finished_nodes_are_taken_over_and_not_paid_again(bench: Bench, failing: UUID):
    failed = bench.settle(bench.submit([sub("s", failing)]))
    (old,) = bench.children(failed.id)
    run, child = again(bench, failed.id)
    assert (run.status, child.status, child.retry_of) == ("success", "success", old.id)
    assert bench.world.calls == {"a": 1, "bad": 2, "c": 1}
    assert (old.credits_charged, child.credits_charged) == (Decimal("1.10"), Decimal("1.20"))
    assert bench.nodes(child.id)["a"].external_ref == {"reusedFrom": str(old.id)}


def test_the_savings_are_in_its_first_event(bench: Bench, failing: UUID):
    failed = bench.settle(bench.submit([sub("s", failing)]))
    _, child = again(bench, failed.id)
    saved = {"retryOf": str(bench.children(failed.id)[0].id), "saved": {"nodes": 1, "credits": 0.1}}
    assert bench.events(child.id)[0].data == saved


def test_however_deep_it_failed(bench: Bench, failing: UUID):
    middle = bench.save([call("m"), sub("s", failing)], "m>s")
    failed = bench.settle(bench.submit([sub("s", middle)]))
    run, _ = again(bench, failed.id)
    assert run.status == "success"
    assert bench.world.calls == {"m": 1, "a": 1, "bad": 2, "c": 1}


def test_one_that_was_cancelled_with_its_tree_goes_on_too(bench: Bench):
    inner = bench.save([call("a"), ask()], "a>q")
    top = bench.submit([sub("s", inner)])
    bench.settle(top)
    cancel(bench, top)
    run, child = again(bench, top)
    assert (run.status, child.waiting_for["type"]) == ("waiting", "approval")
    assert bench.world.calls == {"a": 1}


def test_each_iteration_goes_on_with_its_own(bench: Bench):
    bench.world.on("bad", World.fail(1, retryable=False))
    inner = bench.save([call("a"), call("bad")], "a>bad")
    each = factories.node("each", "loop", config={"items": "{{ input }}"})
    failed = bench.settle(bench.submit([each, sub("s", inner, parentId="each")], value=[1, 2]))
    assert failed.status == "failed"
    run, _ = again(bench, failed.id)
    assert run.status == "success"
    assert bench.world.calls == {"a": 2, "bad": 3}


class TestFromTheStart:
    def test_when_its_workflow_was_edited(self, bench: Bench, failing: UUID):
        failed = bench.settle(bench.submit([sub("s", failing)]))
        with session_scope() as session:
            graph = {"nodes": steps(), "connections": connect_all(*STEPS)}
            factories.version(session, session.get_one(Workflow, failing), graph=graph, worst_case="5.00")
        _, child = again(bench, failed.id)
        assert (child.status, child.retry_of) == ("success", None)
        assert bench.world.calls["a"] == 2

    def test_when_it_is_given_something_else(self, bench: Bench, failing: UUID):
        bench.world.on("first", World.fail(1, retryable=False))
        first = call("first", onError="continue", defaultValue="nothing")
        failed = bench.settle(bench.submit([first, sub("s", failing)], "first>s"))
        _, child = again(bench, failed.id)
        assert (child.status, child.retry_of) == ("success", None)
        assert bench.world.calls["a"] == 2

    def test_when_the_old_one_is_still_being_ended(self, bench: Bench, failing: UUID):
        failed = bench.settle(bench.submit([sub("s", failing)]))
        (old,) = bench.children(failed.id)
        bench.sql(_BEING_ENDED, id=old.id)
        _, child = again(bench, failed.id)
        assert (child.status, child.retry_of) == ("success", None)
        bench.sql("UPDATE workflow_executions SET status = 'failed', finished_at = now() WHERE id = :id", id=old.id)

    def test_for_another_attempt_of_its_node(self, bench: Bench):
        bench.world.on("bad", World.fail(2, retryable=False))
        inner = bench.save([call("a"), call("bad")], "a>bad")
        failed = bench.settle(bench.submit([sub("s", inner, retry={"maxAttempts": 1})]))
        bench.world.on("bad", World.fail(1, retryable=False))
        with session_scope() as session:
            graph = {"nodes": [sub("s", inner, retry={"maxAttempts": 2, "initialInterval": 0})], "connections": []}
            of = session.get_one(Workflow, failed.workflow_id)
            factories.version(session, of, graph=graph, worst_case="5.00")
        run, first = again(bench, failed.id, version="latest")
        second = bench.children(run.id)[1]
        assert (run.status, first.status, second.status) == ("success", "failed", "success")
        assert (second.parent_attempt, second.retry_of) == (2, None)


class TestANodeThatActsOnce:
    """It is asked about wherever it is, if it would act again."""

    @pytest.fixture
    def paying(self, bench: Bench) -> UUID:
        """A workflow that pays and fails afterwards, once."""
        bench.world.on("bad", World.fail(1, retryable=False))
        return bench.save([call("pay", sideEffects="once"), call("bad")], "pay>bad", worst_case="5.00")

    def failed(self, bench: Bench, inner: UUID, *before: dict[str, Any]) -> UUID:
        pairs = [f"{one['id']}>s" for one in before]
        run = bench.settle(bench.submit([*before, sub("s", inner)], *pairs))
        assert run.status == "failed"
        return run.id

    def asked(self, bench: Bench, failed: UUID) -> list[str]:
        with pytest.raises(ConfirmationRequired) as refusal:
            retry(bench, failed)
        return [error.message for error in refusal.value.errors]

    def test_and_whose_result_is_taken_over_is_not_asked_about(self, bench: Bench, paying: UUID):
        failed = self.failed(bench, bench.save([sub("s", paying)]))
        run, _ = again(bench, failed)
        assert run.status == "success"
        assert bench.world.calls["pay"] == 1

    def test_in_an_iteration_that_is_taken_over_is_not_asked_about(self, bench: Bench):
        fail = World.fail(1, retryable=False)
        bench.world.on("bad", lambda *told: bench.world.calls["bad"] == 1 or fail(*told))
        inner = bench.save([call("pay", sideEffects="once"), call("bad")], "pay>bad", worst_case="5.00")
        each = factories.node("each", "loop", config={"items": "{{ input }}"})
        failed = bench.settle(bench.submit([each, sub("s", inner, parentId="each")], value=[1, 2]))
        assert [child.status for child in bench.children(failed.id)] == ["success", "failed"]
        run, _ = again(bench, failed.id)
        assert run.status == "success"
        assert bench.world.calls["pay"] == 2

    def test_and_failed_is(self, bench: Bench):
        bench.world.on("pay", World.fail(1, retryable=False))
        inner = bench.save([call("pay", sideEffects="once")])
        failed = self.failed(bench, bench.save([sub("s", inner)]))
        assert self.asked(bench, failed) == ["The node pay may have acted already."]
        run, _ = again(bench, failed, repeat=["pay"])
        assert run.status == "success"

    def test_in_a_workflow_that_was_edited_is(self, bench: Bench, paying: UUID):
        failed = self.failed(bench, paying)
        with session_scope() as session:
            graph = {"nodes": [call("pay", sideEffects="once")], "connections": []}
            factories.version(session, session.get_one(Workflow, paying), graph=graph)
        assert self.asked(bench, failed) == ["The node pay may have acted already."]

    def test_in_a_run_that_may_be_given_something_else_is(self, bench: Bench, paying: UUID):
        bench.world.on("first", World.fail(1, retryable=False))
        failed = self.failed(bench, paying, call("first", onError="continue", defaultValue="nothing"))
        assert self.asked(bench, failed) == ["The node pay may have acted already."]

    def test_in_a_run_that_ended_well_and_runs_again_is(self, bench: Bench):
        bench.world.on("first", World.fail(1, retryable=False))
        bench.world.on("last", World.fail(1, retryable=False))
        first = call("first", onError="continue", defaultValue="nothing")
        inner = bench.save([call("pay", sideEffects="once")])
        top = bench.submit([first, sub("s", inner), call("last")], "first>s", "s>last")
        assert bench.settle(top).status == "failed"
        assert self.asked(bench, top) == ["The node pay may have acted already."]
