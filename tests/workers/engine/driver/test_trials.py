"""One node is tried with pinned data: nothing else runs, and it is paid like every run."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from devstack import run_audit
from models.db import session_scope
from models.errors import InsufficientCredits, InvalidInput, NotFound
from models.rules.executions.schedule import Step
from models.rules.lint.trials import NodeNotTriable, TrialData
from models.services.executions import executions, retention, retries
from models.services.executions.retries import TrialNotRetryable
from models.services.operations import pruning
from models.services.steps import evaluation, steps, trials
from models.services.workflows import workflow_versions, workflows
from models.services.workflows.saved_versions import InvalidGraph
from models.tables import Execution, User, WorkflowVersion
from tests.support import factories
from tests.support.engine.bench import Bench, approve, ask, call, connect_all, sub, transform
from tests.support.engine.world import World


def attempt(bench: Bench, workflow_id: UUID, node_id: str, pinned: Any = None, **rest: Any) -> Execution:
    """Submit a trial."""
    more = {name: rest.pop(name) for name in ("graph", "max_credits") if name in rest}
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        return trials.submit(session, owner, workflow_id, node_id, TrialData(pinned or {}, **rest), **more)


def drive(bench: Bench, *args: Any, **rest: Any) -> Execution:
    """Submit a trial and drive it to its end."""
    return bench.settle(attempt(bench, *args, **rest).id)


def test_only_the_tried_node_runs_with_what_is_pinned(bench: Bench):
    saved = bench.save([call("a"), transform("x", "data.n + nodes.a.output.n"), call("b")], "a>x", "x>b")
    run = drive(bench, saved, "x", {"a": {"n": 2}})
    assert (run.status, run.output, run.tried_node_id) == ("success", 4, "x")
    assert bench.world.calls == {}
    assert (run.nodes_executed, run.nodes_total, run.progress) == (1, 1, 100)


def test_it_costs_the_fee_and_that_node(bench: Bench):
    saved = bench.save([call("a"), call("b"), call("c")], "a>b", "b>c")
    run = drive(bench, saved, "b", {"a": None})
    assert (run.credits_cap, run.credits_charged) == (Decimal("1.10"), Decimal("1.10"))
    with session_scope() as session:
        receipt = executions.receipt(session, run)
        assert [item["nodeId"] for item in receipt["items"]] == ["b"]


def test_the_audit_of_runs_finds_nothing_wrong_with_it(bench: Bench, committed_database: str):
    saved = bench.save([call("a"), transform("x", "data")], "a>x")
    drive(bench, saved, "x", {"a": 1})
    assert run_audit.wrongs(committed_database) == []


def test_a_node_that_does_not_start_costs_nothing(bench: Bench):
    saved = bench.save([call("a"), transform("x", "data")], "a>x")
    run = attempt(bench, saved, "x", {"a": 1})
    with session_scope() as session:
        executions.request_cancel(session, session.get_one(User, bench.user_id), run.id)
    assert bench.execution(run.id).credits_charged == 0
    assert bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id) == 0


def test_more_than_the_balance_is_refused_and_nothing_stays(bench: Bench):
    saved = bench.save([call("a")])
    bench.sql("UPDATE credits SET held = balance WHERE user_id = :id", id=bench.user_id)
    try:
        with pytest.raises(InsufficientCredits):
            attempt(bench, saved, "a")
    finally:
        bench.sql("UPDATE credits SET held = 0 WHERE user_id = :id", id=bench.user_id)
    assert bench.sql("SELECT count(*) FROM workflow_versions WHERE number IS NULL") == 0


def test_the_error_of_the_node_is_the_run_s(bench: Bench):
    saved = bench.save([call("a"), transform("x", "data.missing.name")], "a>x")
    run = drive(bench, saved, "x", {"a": {}})
    assert run.status == "failed"
    assert run.error["nodeId"] == "x"


def test_a_draft_is_tried_instead_of_what_is_stored(bench: Bench):
    saved = bench.save([transform("x", "1")])
    draft = {"nodes": [transform("x", "input * 2")], "connections": []}
    assert drive(bench, saved, "x", graph=draft, input=21).output == 42


def test_problems_of_other_nodes_do_not_matter_and_its_own_do(bench: Bench):
    broken = factories.node("broken", "no such type")
    draft = {
        "nodes": [broken, transform("x", "data"), transform("y", "data +")],
        "connections": connect_all("broken>x"),
    }
    saved = bench.save([transform("x", "1")])
    assert drive(bench, saved, "x", {"broken": "ok"}, graph=draft).output == "ok"
    with pytest.raises(InvalidGraph, match="node cannot be tried") as refused:
        attempt(bench, saved, "y", graph=draft)
    assert [error.field for error in refused.value.errors] == ["nodes.2.config.expression"]


def test_a_node_in_a_loop_sees_the_given_item(bench: Bench):
    each = factories.node("each", "loop", config={"items": "{{ input }}"})
    inside = transform("x", "[item, index, data, nodes.a.output]", parentId="each")
    saved = bench.save([call("a"), each, inside], "a>each")
    run = drive(bench, saved, "x", {"a": "before"}, item="third", index=2)
    assert run.output == ["third", 2, "third", "before"]


def test_what_the_step_saw_can_be_read_afterwards(bench: Bench):
    each = factories.node("each", "loop", config={"items": "{{ input }}"})
    saved = bench.save([call("a"), each, transform("x", "item", parentId="each")], "a>each")
    run = drive(bench, saved, "x", item={"name": "Ada"}, index=1)
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        assert steps.data(session, owner, run.id, Step("x"), part="input") == {"name": "Ada"}
        scope = evaluation.scope_of_step(session, owner, run.id, Step("x"))
        assert evaluation.evaluate("item.name + index", "expression", scope).value == "Ada1"


def test_a_source_that_is_not_pinned_counts_as_not_taken(bench: Bench):
    nodes = [call("a"), call("b"), factories.node("m", "merge")]
    saved = bench.save(nodes, "a>m", "b>m")
    assert drive(bench, saved, "m", {"a": 1, "b": 2}).output == {"a": 1, "b": 2}
    assert drive(bench, saved, "m", {"b": 2}).output == {"b": 2}


def test_a_decision_and_an_output_are_tried_too(bench: Bench):
    decide = factories.node("d", "decision", config={"condition": "data > 3"})
    out = factories.node("o", "output", config={"value": "{{ nodes.a.output }}"})
    saved = bench.save([call("a"), decide, out], "a>d", "d:true>o")
    assert bench.nodes(drive(bench, saved, "d", {"a": 4}).id)["d"].port == "true"
    assert drive(bench, saved, "o", {"d": None, "a": "said"}).output == "said"


def test_an_approval_waits_for_the_answer(bench: Bench):
    saved = bench.save([call("a"), ask("q")], "a>q")
    run = drive(bench, saved, "q", {"a": 1})
    assert run.status == "waiting"
    approve(bench, run.id)
    assert bench.settle(run.id).status == "success"


def test_another_workflow_runs_and_is_paid_for_too(bench: Bench):
    below = bench.save([call("a")], worst_case="1.10")
    saved = bench.save([call("b"), sub("s", below, input="{{ data }}")], "b>s")
    run = drive(bench, saved, "s", {"b": "hello"})
    assert (run.status, bench.world.calls) == ("success", {"a": 1})
    assert [child.input for child in bench.children(run.id)] == ["hello"]
    assert run.credits_cap >= Decimal("1.10")


def test_a_loop_is_refused_with_a_sentence(bench: Bench):
    saved = bench.save([factories.node("each", "loop", config={"items": [1]}), transform("x", "1", parentId="each")])
    with pytest.raises(NodeNotTriable, match="try the nodes inside it"):
        attempt(bench, saved, "each")


@pytest.mark.parametrize(
    ("node_id", "pinned", "rest", "field"),
    [
        ("x", {}, {}, "pinned"),
        ("x", {"nobody": 1}, {}, "pinned.nobody"),
        ("x", {"x": 1, "a": 1}, {}, "pinned.x"),
        ("x", {"a": 1}, {"item": 1}, "item"),
        ("x", {"a": 1}, {"max_credits": Decimal("0.5")}, "maxCredits"),
    ],
)
def test_data_that_do_not_fit_are_refused_by_field(bench: Bench, node_id: str, pinned: Any, rest: Any, field: str):
    saved = bench.save([call("a"), transform("x", "data")], "a>x")
    with pytest.raises(InvalidInput) as refused:
        attempt(bench, saved, node_id, pinned, **rest)
    assert [error.field for error in refused.value.errors] == [field]


def test_an_unknown_node_is_not_found(bench: Bench):
    saved = bench.save([call("a")])
    with pytest.raises(NotFound):
        attempt(bench, saved, "nobody")


def test_its_version_is_neither_listed_nor_current(bench: Bench):
    saved = bench.save([call("a"), transform("x", "data")], "a>x")
    drive(bench, saved, "x", {"a": 1})
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        assert [row.number for row in workflow_versions.list_of(session, owner, saved)] == [1]
        assert len(workflows.get(session, owner, saved).latest.graph["nodes"]) == 2


def test_it_is_found_as_a_trial_and_left_out_on_demand(bench: Bench):
    saved = bench.save([transform("x", "1")])
    run = drive(bench, saved, "x")
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        assert [found.id for found in executions.list_owned(session, owner, trial=True)] == [run.id]
        assert executions.list_owned(session, owner, trial=False) == []


def test_a_failed_one_is_retried_with_the_same_data(bench: Bench):
    bench.world.on("b", World.fail(1, retryable=False))
    saved = bench.save([call("a"), call("b")], "a>b")
    failed = drive(bench, saved, "b", {"a": 1})
    assert failed.status == "failed"
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        again = retries.retry(session, owner, failed.id).execution
        with pytest.raises(TrialNotRetryable):
            retries.retry(session, owner, failed.id, version="latest")
    run = bench.settle(again.id)
    assert (run.status, run.tried_node_id, bench.world.calls) == ("success", "b", {"b": 2})


def test_its_version_goes_after_its_run(bench: Bench):
    saved = bench.save([transform("x", "1")])
    run = drive(bench, saved, "x")
    bench.sql("ALTER TABLE workflow_versions DISABLE TRIGGER workflow_versions_never_change")
    bench.sql("UPDATE workflow_versions SET created_at = now() - interval '2 hours'")
    bench.sql("ALTER TABLE workflow_versions ENABLE TRIGGER workflow_versions_never_change")
    with session_scope() as session:
        assert pruning.prune(session).versions == 0
    bench.sql("UPDATE workflow_executions SET finished_at = now() - interval '1000 days' WHERE id = :id", id=run.id)
    with session_scope() as session:
        assert retention.expire(session) == 1
        while retention.clear(session):
            pass
        assert pruning.prune(session).versions == 1
        assert session.scalars(select(WorkflowVersion.number)).all() == [1]
