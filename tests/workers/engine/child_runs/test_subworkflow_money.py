"""A run and all that it starts never cost more than was held for it, and what a child does not spend comes back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.db import session_scope
from models.services.executions import approvals, executions
from models.services.orchestration import deadlines
from models.tables import User
from tests.support.engine.bench import Bench, ask, call, cancel, sub, transform
from tests.support.engine.world import World
from tests.support.factories import node
from workers.engine.driver import child_runs


def held(bench: Bench) -> Decimal:
    return bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id)


def spent(bench: Bench) -> Decimal:
    return 100_000 - bench.sql("SELECT balance FROM credits WHERE user_id = :id", id=bench.user_id)


def resume(bench: Bench, execution_id: UUID, cap: str) -> None:
    with session_scope() as session:
        owner = session.get_one(User, bench.user_id)
        approvals.resume(session, owner, execution_id, max_credits=Decimal(cap))


def end_as_overdue(bench: Bench, execution_id: UUID) -> None:
    bench.sql("UPDATE workflow_executions SET deadline_at = now() WHERE id = :id", id=execution_id)
    with session_scope() as session:
        assert deadlines.end(session, execution_id)


def test_a_child_takes_its_worst_case_along_and_the_wallet_does_not_notice(bench: Bench):
    top = bench.submit([sub("s", bench.save([call("a")], worst_case="5.00"))], cap=Decimal("9.00"))
    bench.runtime.drive(top)
    (child,) = bench.children(top)
    assert (bench.execution(top).credits_cap, child.credits_cap, held(bench)) == (4, 5, 9)


def test_what_it_did_not_spend_comes_back_at_its_end(bench: Bench):
    inner = bench.save([call("a")], worst_case="5.00")
    top = bench.submit([sub("s", inner), ask()], "s>q", cap=Decimal("9.00"))
    run = bench.settle(top)
    assert (run.status, run.credits_cap, held(bench)) == ("waiting", Decimal("7.90"), Decimal("7.90"))
    assert spent(bench) == Decimal("1.10")


def test_one_child_after_the_other_may_use_the_same_credits(bench: Bench):
    inner = bench.save([call("a")], worst_case="50.00")
    chain = [sub(f"s{number}", inner) for number in range(4)]
    run = bench.settle(bench.submit(chain, "s0>s1", "s1>s2", "s2>s3", cap=Decimal("6.00")))
    assert run.status == "success"
    assert spent(bench) == 4 * Decimal("1.10") + Decimal("1.40")


def test_children_side_by_side_share_what_there_is(bench: Bench):
    inner = bench.save([call("a")], worst_case="50.00")
    run = bench.settle(bench.submit([sub(f"s{number}", inner) for number in range(3)], cap=Decimal("10.00")))
    assert run.status == "success"
    assert spent(bench) == 3 * Decimal("1.10") + Decimal("1.30")


def test_a_child_that_became_dearer_waits_for_credits_as_its_parent_says(bench: Bench):
    inner = bench.save([call("a"), call("b"), call("c")], "a>b", "b>c", worst_case="50.00")
    top = bench.submit([sub("s", inner)], cap=Decimal("2.30"))
    run = bench.settle(top)
    (child,) = bench.children(top)
    assert (child.status, child.waiting_for["type"], child.credits_cap) == ("waiting", "budget", Decimal("1.20"))
    assert (run.waiting_for["type"], run.waiting_for["childExecutionId"]) == ("subworkflow", str(child.id))
    resume(bench, child.id, "3.00")
    bench.settle(child.id)
    run = bench.settle(top)
    assert (run.status, spent(bench), held(bench)) == ("success", Decimal("2.40"), 0)


def test_what_the_owner_added_to_a_child_is_his_again(bench: Bench):
    inner = bench.save([call("a"), call("b")], "a>b", worst_case="50.00")
    top = bench.submit([sub("s", inner), ask()], "s>q", cap=Decimal("2.20"))
    bench.settle(top)
    (child,) = bench.children(top)
    resume(bench, child.id, "20.00")
    bench.settle(child.id)
    run = bench.settle(top)
    assert (run.status, held(bench)) == ("waiting", run.credits_cap)
    assert run.credits_cap <= Decimal("1.10")


def test_a_parent_without_the_credits_for_a_child_waits_itself(bench: Bench):
    inner = bench.save([call("a")])
    top = bench.submit([call("first"), sub("s", inner)], "first>s", cap=Decimal("2.20"))
    run = bench.settle(top)
    assert (run.status, run.waiting_for["type"], bench.children(top)) == ("waiting", "budget", [])
    resume(bench, top, "5.00")
    assert bench.settle(top).status == "success"


def test_a_parent_short_of_credits_goes_on_when_a_child_gives_some_back(bench: Bench):
    inner = bench.save([call("a")], worst_case="50.00")
    top = bench.submit([sub("s", inner), call("slow"), call("after")], "slow>after", cap=Decimal("3.00"))
    run = bench.settle(top)
    assert run.status == "success"
    assert bench.world.calls == {"a": 1, "slow": 1, "after": 1}


def test_a_failed_attempt_pays_for_its_work_and_the_next_gets_the_rest(bench: Bench):
    bench.world.on("bad", World.fail(1, retryable=False))
    inner = bench.save([call("a"), call("bad")], "a>bad", worst_case="4.00")
    retry = {"maxAttempts": 2, "initialInterval": 0}
    run = bench.settle(bench.submit([sub("s", inner, retry=retry)], cap=Decimal("5.10")))
    assert run.status == "success"
    first, second = bench.children(run.id)
    assert (first.credits_charged, second.credits_charged) == (Decimal("1.10"), Decimal("1.20"))
    assert second.parent_attempt == 2


def test_a_cancelled_tree_pays_what_each_did_and_gives_all_else_back(bench: Bench):
    inner = bench.save([call("a"), ask()], "a>q", worst_case="10.00")
    top = bench.submit([call("first"), sub("s", inner)], "first>s", cap=Decimal("20.00"))
    bench.settle(top)
    cancel(bench, top)
    assert (spent(bench), held(bench)) == (Decimal("2.30"), 0)  # the step that started the child too


def test_nothing_is_charged_for_a_loop_of_children_beyond_the_cap(bench: Bench):
    inner = bench.save([transform("t", "input")], worst_case="3.00")
    each = node("each", "loop", config={"items": "{{ input }}", "concurrency": 4})
    top = bench.submit([each, sub("s", inner, parentId="each")], value=list(range(8)), cap=Decimal("9.00"))
    run = bench.settle(top)
    assert run.status == "waiting"
    assert run.waiting_for["type"] == "budget"
    assert spent(bench) + held(bench) == Decimal("9.00")
    resume(bench, top, str(run.credits_cap + 5))
    assert bench.settle(top).status == "success"


def test_the_receipt_of_a_parent_has_the_total_of_its_children(bench: Bench):
    middle = bench.save([sub("s", bench.save([call("a")]))], worst_case="10.00")
    run = bench.settle(bench.submit([sub("s", middle)], cap=Decimal("20.00")))
    with session_scope() as session:
        receipt = executions.receipt(session, run)
    assert receipt["total"] == Decimal("1.10")
    assert receipt["children"] == {"runs": 2, "amount": Decimal("2.20")}


class TestWhatAGrandchildDidNotSpend:
    """When its parent has ended, before it or with it, its rest returns to the ancestor that held the worst case."""

    def family(self, bench: Bench, last: dict[str, Any]) -> tuple[UUID, UUID]:
        """A run that goes on without its child, and that child, which waits for another one: `last`."""
        middle = bench.save([sub("s", bench.save([last], worst_case="5.00"))], worst_case="2.00")
        without = {"onError": "continue", "defaultValue": None}
        top = bench.submit([sub("s", middle, **without), ask()], "s>q", cap=Decimal("20.00"))
        bench.runtime.drive(top)
        child = bench.enqueued.get()
        bench.runtime.drive(child)
        assert [bench.execution(run).credits_cap for run in (top, child)] == [13, 2]
        return top, child

    @pytest.mark.parametrize("end", [cancel, end_as_overdue])
    def test_goes_to_the_nearest_run_above_that_is_not_over(self, bench: Bench, end: Callable[..., Any]):
        top, child = self.family(bench, ask("last"))
        bench.settle(bench.enqueued.get())
        end(bench, child)
        run = bench.settle(top)
        rest = Decimal("20") - Decimal("2.10")  # two fees, and the step that started the grandchild
        assert (run.waiting_for["type"], run.credits_cap, held(bench)) == ("approval", rest, rest)

    def test_does_so_when_its_driver_ends_it_later(self, bench: Bench):
        bench.world.on("last", bench.world.hang)
        top, child = self.family(bench, call("last"))
        left = bench.in_background(bench.enqueued.get())
        assert bench.world.arrived.wait(10)
        cancel(bench, child)
        assert bench.execution(top).credits_cap == Decimal("13.90")  # the child was charged for its own step
        left()
        run = bench.settle(top)
        rest = Decimal("20") - Decimal("2.20")  # the same, and the grandchild's call, which was under way
        assert (run.waiting_for["type"], run.credits_cap, held(bench)) == ("approval", rest, rest)

    @pytest.mark.parametrize(("added", "back"), [(2, "16.90"), (3, "15.90")])
    @pytest.mark.parametrize("end", [cancel, end_as_overdue])
    def test_is_the_owners_as_far_as_he_added_it(self, bench: Bench, end: Callable[..., Any], added: int, back: str):
        top, child = self.family(bench, ask("last"))
        bench.sql("UPDATE workflow_executions SET credits_added = :added WHERE id = :id", id=child, added=added)
        end(bench, child)
        run = bench.settle(top)
        assert (run.credits_cap, held(bench)) == (Decimal(back), Decimal(back))

    def test_returns_to_the_owner_when_no_ancestor_goes_on(self, bench: Bench):
        top, _ = self.family(bench, ask("last"))
        cancel(bench, top)
        assert (spent(bench), held(bench)) == (Decimal("2.20"), 0)  # two that had begun, with a step each


def test_the_next_attempt_may_use_the_refund_of_a_timed_out_child(bench: Bench):
    inner = bench.save([ask()], worst_case="50.00")
    retry = {"maxAttempts": 2, "initialInterval": 0}
    top = bench.submit([sub("s", inner, timeout=0.05, retry=retry)], cap=Decimal("3.00"))
    bench.runtime.drive(top)
    time.sleep(0.1)
    bench.settle(top)
    first, second = bench.children(top)
    assert (first.status, first.credits_cap) == ("cancelled", second.credits_cap)


def test_credits_that_a_child_took_without_a_word_are_not_spent_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Its start was committed, and the connection was cut before that was said."""
    cuts = iter([True])

    @contextmanager
    def cut() -> Iterator[Session]:
        with session_scope() as session:
            yield session
        if next(cuts, False):
            raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

    monkeypatch.setattr(child_runs, "session_scope", cut)
    inner = bench.save([call("a")], worst_case="50.00")
    chain = [call(f"c{number}") for number in range(16)]
    pairs = [f"c{number}>c{number + 1}" for number in range(15)]
    top = bench.submit([call("c0"), sub("s", inner), *chain[1:]], *pairs, cap=Decimal("4.00"))
    bench.settle(top)
    (child,) = bench.children(top)
    bench.settle(child.id)
    run = bench.settle(top)
    assert (run.status, len(bench.children(top))) == ("success", 1)
