"""A tier allows so many calls in a month: a run that needs more waits for the next month, or for a higher tier."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import OperationalError

from models.db import session_scope
from models.rules.prices.pricing import PLANS, Tier
from models.services.credits import api_calls
from tests.support import factories
from tests.support.engine.bench import Bench, call, cancel, sub
from workers.engine.driver.outcomes import DriveResult
from workers.gateways.base import CallFailed

LIMIT = PLANS[Tier.FREE].limits.api_calls_per_month
USE = (
    "INSERT INTO api_calls (execution_id, node_id, path, user_id)"
    " SELECT :run, 'n', i::text, :user FROM generate_series(1, :times) i"
)


def use(bench: Bench, times: int) -> None:
    bench.sql(USE, run=uuid4(), user=bench.user_id, times=times)


def used(bench: Bench) -> int:
    return bench.sql("SELECT coalesce(sum(requests), 0) FROM api_calls WHERE user_id = :user", user=bench.user_id)


def wake(bench: Bench) -> int:
    with session_scope() as session:
        return api_calls.wake(session)


@pytest.fixture
def waiting(bench: Bench) -> UUID:
    """A run whose second call found none left."""
    use(bench, LIMIT - 1)
    execution_id = bench.submit([call("a"), call("b")], "a>b")
    assert bench.runtime.drive(execution_id) is DriveResult.PARKED
    return execution_id


class TestWithoutCallsLeft:
    def test_a_run_waits_with_its_results_kept(self, bench: Bench, waiting: UUID):
        run = bench.execution(waiting)
        assert (run.status, run.waiting_for["type"], run.waiting_for["nodeId"]) == ("waiting", "api_calls", "b")
        assert (run.wake_at.day, run.wake_at.hour, run.wake_at > datetime.now(UTC)) == (1, 0, True)
        assert bench.world.calls == {"a": 1}
        assert used(bench) == LIMIT

    def test_it_is_not_woken_while_there_are_none(self, bench: Bench, waiting: UUID):
        assert wake(bench) == 0
        bench.sql("UPDATE workflow_executions SET wake_at = now()")
        assert bench.runtime.drive(waiting) is DriveResult.PARKED
        assert bench.world.calls == {"a": 1}

    @pytest.mark.parametrize(
        "supply",
        ["UPDATE users SET subscription_tier = 'premium'", "UPDATE api_calls SET at = at - interval '1 month'"],
        ids=["a higher tier", "another month"],
    )
    def test_it_goes_on_as_soon_as_there_are_some(self, bench: Bench, waiting: UUID, supply: str):
        bench.sql(supply)
        assert wake(bench) == 1
        assert bench.another().drive(waiting) is DriveResult.ENDED
        assert bench.execution(waiting).status == "success"
        assert bench.world.calls == {"a": 1, "b": 1}

    def test_a_run_that_waits_for_a_person_too_is_woken(self, bench: Bench):
        use(bench, LIMIT)
        ask = factories.node("q", "approval", config={"message": "Send it?"})
        execution_id = bench.submit([ask, call("a")])
        assert bench.runtime.drive(execution_id) is DriveResult.PARKED
        assert bench.execution(execution_id).waiting_for["types"] == ["api_calls", "approval"]
        bench.sql("UPDATE users SET subscription_tier = 'enterprise'")
        assert wake(bench) == 1
        assert bench.runtime.drive(execution_id) is DriveResult.PARKED
        assert bench.world.calls == {"a": 1}

    def test_it_can_be_cancelled(self, bench: Bench, waiting: UUID):
        bench.sql("UPDATE workflow_executions SET cancel_requested_at = now(), wake_at = now()")
        assert bench.runtime.drive(waiting) is DriveResult.ENDED
        assert bench.execution(waiting).status == "cancelled"


class TestCounting:
    @pytest.mark.parametrize("tier", [Tier.FREE, Tier.ENTERPRISE])
    def test_counts_every_request_that_left_also_repeats(self, bench: Bench, tier: Tier):
        bench.sql("UPDATE users SET subscription_tier = :tier", tier=tier)
        bench.world.on("a", bench.world.fail(2))
        run = bench.run([call("a", retry={"maxAttempts": 3, "initialInterval": 0.01})])
        assert (run.status, bench.world.calls["a"], used(bench)) == ("success", 3, 3)

    @pytest.mark.parametrize("code", ["http_500", "http_400"])
    def test_counts_what_failed_whosoever_fault_it_was(self, bench: Bench, code: str):
        def refuse(*_: Any) -> None:
            raise CallFailed(code, "No.")

        bench.world.on("a", refuse)
        assert (bench.run([call("a", onError="continue")]).status, used(bench)) == ("success", 1)

    def test_counts_what_was_cancelled_under_way(self, bench: Bench):
        bench.world.on("a", bench.world.hang)
        run = bench.submit([call("a")])
        left = bench.in_background(run)
        assert bench.world.arrived.wait(10)
        cancel(bench, run)
        left()
        assert (bench.execution(run).status, used(bench)) == ("cancelled", 1)

    @pytest.mark.parametrize("tier", [Tier.FREE, Tier.ENTERPRISE])
    def test_does_not_count_what_never_left(self, bench: Bench, tier: Tier):
        def unreachable(*_: Any) -> None:
            raise CallFailed("connect_failed", "No.", sent=False)

        bench.sql("UPDATE users SET subscription_tier = :tier", tier=tier)
        bench.world.on("a", unreachable)
        assert (bench.run([call("a", onError="continue")]).status, used(bench)) == ("success", 0)

    def test_stops_a_node_whose_repeats_use_the_month_up(self, bench: Bench):
        use(bench, LIMIT - 2)
        bench.world.on("a", bench.world.fail(9))
        run = bench.run([call("a", retry={"maxAttempts": 9, "initialInterval": 0.01})])
        assert (run.status, run.waiting_for["type"], bench.world.calls["a"]) == ("waiting", "api_calls", 2)
        assert used(bench) == LIMIT

    def test_counts_what_was_under_way_when_its_worker_died_once(self, bench: Bench):
        with session_scope() as session:
            run = uuid4()
            use(bench, LIMIT - 1)
            granted = [api_calls.reserve(session, bench.user_id, run, "a", "") for _ in range(3)]
            assert granted == [True, True, True]
            assert api_calls.reserve(session, bench.user_id, run, "b", "") is False
        assert used(bench) == LIMIT

    def test_knows_no_limit_where_there_is_none(self, bench: Bench):
        bench.sql("UPDATE users SET subscription_tier = 'enterprise'")
        use(bench, PLANS[Tier.PREMIUM].limits.api_calls_per_month)
        assert bench.run([call("a"), call("b")], "a>b").status == "success"
        assert used(bench) == PLANS[Tier.PREMIUM].limits.api_calls_per_month + 2

    @pytest.mark.parametrize("left", [5, LIMIT // 2 + 1], ids=["near the limit", "far from it"])
    def test_never_allows_more_than_the_limit_however_many_ask_at_once(self, bench: Bench, left: int):
        use(bench, LIMIT - left)
        runs = [bench.submit([call(f"n{index}") for index in range(left)]) for _ in range(3)]
        waits = [bench.in_background(run, bench.another()) for run in runs]
        assert [wait() for wait in waits].count(DriveResult.PARKED) >= 2
        assert (used(bench), bench.world.calls.total()) == (LIMIT, left)


def test_a_call_waits_for_the_database_instead_of_going_uncounted(bench: Bench, monkeypatch: Any):
    reserve, outages = api_calls.reserve, iter([True, False])

    def away(*args: Any) -> bool:
        if next(outages):
            raise OperationalError("", {}, Exception("gone"))
        return reserve(*args)

    monkeypatch.setattr(api_calls, "reserve", away)
    monkeypatch.setattr("workers.engine.attempts.api_call_quota.RETRY_SECONDS", 0.01)
    assert (bench.run([call("a")]).status, used(bench)) == ("success", 1)


class TestChildren:
    """The calls of a `subworkflow` node's child run count for its owner too."""

    def top(self, bench: Bench) -> UUID:
        return bench.submit([sub("s", bench.save([call("a"), call("b")], "a>b"))])

    def test_their_calls_count_and_none_passes_the_limit(self, bench: Bench):
        use(bench, LIMIT - 1)
        top = bench.settle(self.top(bench))
        (child,) = bench.children(top.id)
        assert (child.status, child.waiting_for["type"], child.waiting_for["nodeId"]) == ("waiting", "api_calls", "b")
        assert (top.status, top.waiting_for["type"]) == ("waiting", "subworkflow")
        assert (used(bench), bench.world.calls) == (LIMIT, {"a": 1})

    def test_they_and_their_parent_go_on_when_there_are_calls_again(self, bench: Bench):
        use(bench, LIMIT - 1)
        top = bench.settle(self.top(bench))
        (child,) = bench.children(top.id)
        bench.sql("UPDATE users SET subscription_tier = 'premium'")
        assert wake(bench) == 1
        bench.settle(child.id)
        assert bench.execution(top.id).status == "success"
        assert (used(bench), bench.world.calls) == (LIMIT + 1, {"a": 1, "b": 1})

    def test_another_attempt_is_another_child_run_whose_calls_count_too(self, bench: Bench):
        bench.world.on("b", bench.world.fail(1))
        inner = bench.save([call("a"), call("b", retry={"maxAttempts": 1})], "a>b")
        top = bench.settle(bench.submit([sub("s", inner, retry={"maxAttempts": 2, "initialInterval": 0.01})]))
        assert (top.status, [child.status for child in bench.children(top.id)]) == ("success", ["failed", "success"])
        assert used(bench) == 4  # what failed had left, too
