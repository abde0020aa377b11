"""A run is paid by the price list that it names, whatever things cost by now; so is all that it starts."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from models.db import session_scope
from models.rules.prices.pricing import CURRENT, PRICE_LISTS
from models.services.executions import executions
from models.services.workflows import runnable
from models.tables import User
from tests.support.engine.bench import Bench, ask, call, cancel, sub
from tests.workers.engine.child_runs.test_subworkflow_money import held, spent
from workers.engine.driver.outcomes import DriveResult

OLD = "1999-01"
DEARER = {operation: 10 * cost for operation, cost in CURRENT.costs.items()}


@pytest.fixture(autouse=True)
def old_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older price list: everything cost ten times as much."""
    monkeypatch.setitem(PRICE_LISTS, OLD, replace(CURRENT, name=OLD, costs=DEARER))


def submitted_then(bench: Bench, *args: Any, **rest: Any) -> UUID:
    """A run that was accepted while the old prices were in force."""
    run = bench.submit(*args, **rest)
    accepted_then(bench, run)
    return run


def accepted_then(bench: Bench, run: UUID) -> None:
    bench.sql("UPDATE workflow_executions SET price_list = :old WHERE id = :id", old=OLD, id=run)


def test_nodes_and_the_run_are_charged_by_the_price_list_of_the_run(bench: Bench):
    nodes = [call("a"), call("b")]
    then, now = submitted_then(bench, nodes, "a>b"), bench.submit(nodes, "a>b")
    assert bench.settle(then).credits_charged == 12
    assert bench.settle(now).credits_charged == Decimal("1.20")
    with session_scope() as session:
        receipt = executions.receipt(session, bench.execution(then))
    assert (receipt["priceList"], receipt["runFee"], receipt["total"]) == (OLD, 10, 12)


def test_two_runs_of_one_version_by_two_lists_do_not_share_prices(bench: Bench):
    first = bench.submit([call("a")])
    bench.settle(first)
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        second = executions.submit(session, owner, bench.execution(first).workflow_id).id
    accepted_then(bench, second)
    assert bench.settle(second).credits_charged == 11


def test_the_cap_is_watched_by_the_same_prices(bench: Bench):
    run = bench.settle(submitted_then(bench, [call("a"), call("b")], "a>b", cap="11.99"))
    assert (run.status, run.nodes_executed) == ("waiting", 1)


def test_one_that_is_ended_while_it_waits_pays_its_fee_by_that_list(bench: Bench):
    run = submitted_then(bench, [call("a"), ask()], "a>q")
    bench.runtime.drive(run)
    cancel(bench, run)
    assert bench.execution(run).credits_charged == 11


def test_a_child_is_paid_by_the_list_of_its_parent(bench: Bench):
    inner = bench.save([call("a")], worst_case="1.10")
    run = bench.settle(submitted_then(bench, [sub("s", inner)], cap="30"))
    (child,) = bench.children(run.id)
    assert (run.status, child.price_list, child.credits_cap, child.credits_charged) == ("success", OLD, 11, 11)
    assert (spent(bench), held(bench)) == (22, 0)


def test_a_waiting_child_ended_by_its_parent_pays_its_fee_by_that_list(bench: Bench):
    inner = bench.save([call("a"), ask()], "a>q", worst_case="1.20")
    run = submitted_then(bench, [sub("s", inner)], cap="30")
    bench.settle(run)
    cancel(bench, run)
    (child,) = bench.children(run)
    assert (child.status, child.credits_charged) == ("cancelled", 11)


def test_a_worker_that_does_not_know_the_list_leaves_the_run_to_others(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    run = submitted_then(bench, [call("a")])
    known = PRICE_LISTS[OLD]
    monkeypatch.delitem(PRICE_LISTS, OLD)
    bench.runtime.drive(run)
    left = bench.execution(run)
    assert (left.status, left.credits_charged, left.crash_state) == ("queued", 0, "clear")
    monkeypatch.setitem(PRICE_LISTS, OLD, known)
    assert bench.settle(run).credits_charged == 11


def test_a_version_saved_under_other_prices_holds_credits_by_present_ones(bench: Bench):
    outer = bench.save([sub("s", bench.save([call("a")], worst_case="11.00"))], worst_case="11.00")
    assert worst_case(bench, outer) == 22
    saved_then(bench)
    assert worst_case(bench, outer) == Decimal("2.20")
    with session_scope() as session:
        run = executions.submit(session, session.get_one(User, bench.user_id), outer)
        assert (run.price_list, run.credits_cap) == (CURRENT.name, Decimal("2.20"))
    assert bench.settle(run.id).status == "success"


def worst_case(bench: Bench, workflow: UUID) -> Decimal:
    with session_scope() as session:
        return runnable.newest(session, session.get_one(User, bench.user_id), workflow).worst_case_credits


def saved_then(bench: Bench) -> None:
    """All versions were saved under the old prices; they cannot be changed afterwards."""
    with session_scope() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text("UPDATE workflow_versions SET price_list = :old"), {"old": OLD})


def test_a_worker_without_the_price_list_puts_the_run_back(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """In the middle of a deploy: enqueued at once, it would circulate among the old workers."""
    run = submitted_then(bench, [call("a")])
    with monkeypatch.context() as older:
        older.delitem(PRICE_LISTS, OLD)
        assert bench.runtime.drive(run) is DriveResult.PUT_BACK
    assert (bench.execution(run).status, bench.execution(run).crash_state) == ("queued", "clear")
    assert bench.settle(run).credits_charged == 11
