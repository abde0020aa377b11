"""Whatever ends a run ends all that it started."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from models.db import session_scope
from models.services.orchestration import deadlines
from tests.support.engine.bench import Bench, ask, call, cancel, event_types, sub, transform
from tests.support.factories import node
from workers.engine.driver.outcomes import DriveResult


class TestStopping:
    def family(self, bench: Bench) -> tuple[UUID, UUID, UUID]:
        """A parent and its child that wait, and a grandchild that asks a question."""
        inner = bench.save([ask()])
        middle = bench.save([call("paid"), sub("s", inner)], "paid>s")
        top = bench.submit([sub("s", middle)])
        bench.settle(top)
        (child,) = bench.children(top)
        (grandchild,) = bench.children(child.id)
        return top, child.id, grandchild.id

    def statuses(self, bench: Bench, *runs: UUID) -> list[str]:
        return [bench.execution(run).status for run in runs]

    def test_a_cancel_goes_down_to_those_that_wait_and_pays_for_what_they_did(self, bench: Bench):
        top, child, grandchild = self.family(bench)
        cancel(bench, top)
        assert self.statuses(bench, top, child, grandchild) == ["cancelled"] * 3
        assert bench.execution(child).credits_charged == Decimal("1.20")  # with the step that started another run
        assert {row.status for run in (top, child, grandchild) for row in bench.nodes(run).values()} == {
            "cancelled",
            "success",
        }
        assert event_types(bench, grandchild)[-1] == "execution.cancelled"
        assert bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id) == 0

    def test_and_to_those_that_are_queued(self, bench: Bench):
        top = bench.submit([sub("s", bench.save([call("a")]))])
        bench.runtime.drive(top)
        cancel(bench, top)
        (child,) = bench.children(top)
        assert child.status == "cancelled"
        assert bench.runtime.drive(child.id) is None

    def test_and_to_those_that_are_driven(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        middle = bench.save([sub("s", bench.save([call("slow")]))])
        top = bench.submit([sub("s", middle)])
        bench.runtime.drive(top)
        bench.runtime.drive(bench.enqueued.get())
        left = bench.in_background(bench.enqueued.get())
        assert bench.world.arrived.wait(10)
        asked_at = datetime.now(UTC)
        cancel(bench, top)
        assert left() is DriveResult.ENDED
        (child,) = bench.children(top)
        (grandchild,) = bench.children(child.id)
        assert self.statuses(bench, top, child.id, grandchild.id) == ["cancelled"] * 3
        assert bench.execution(grandchild.id).finished_at - asked_at < timedelta(seconds=5)

    def test_and_from_a_parent_that_is_driven(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        top = bench.submit([sub("s", bench.save([ask()])), call("slow")])
        left = bench.in_background(top)
        child = bench.enqueued.get(timeout=10)
        bench.another().drive(child)
        cancel(bench, top)
        assert bench.execution(child).status == "cancelled"
        assert left() is DriveResult.ENDED
        assert bench.execution(top).status == "cancelled"

    def test_a_sibling_that_fails_takes_the_children_along(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        top = bench.submit([sub("s", bench.save([ask()])), call("slow"), transform("bad", "1 / 0")], "slow>bad")
        left = bench.in_background(top)
        child = bench.enqueued.get(timeout=10)
        bench.another().drive(child)
        bench.world.release.set()
        left()
        assert self.statuses(bench, top, child) == ["failed", "cancelled"]

    def test_a_deadline_takes_the_children_along(self, bench: Bench):
        top, child, grandchild = self.family(bench)
        bench.sql("UPDATE workflow_executions SET deadline_at = now() - interval '1 second'")
        with session_scope() as session:
            assert [deadlines.end(session, late) for late in deadlines.late(session)] == [True, False, False]
        assert self.statuses(bench, top, child, grandchild) == ["failed", "cancelled", "cancelled"]

    def test_a_loop_that_fails_stops_its_other_iterations(self, bench: Bench):
        decide = node("q", "decision", config={"condition": "input == 1"})
        inner = bench.save([decide, transform("bad", "1 / 0"), ask("w")], "q:true>bad", "q:false>w")
        each = node("each", "loop", config={"items": "{{ input }}", "concurrency": 3}, onError="continue")
        run = bench.settle(bench.submit([each, sub("s", inner, parentId="each")], value=[0, 1, 2]))
        assert run.status == "success"
        assert sorted(child.status for child in bench.children(run.id)) == ["cancelled", "cancelled", "failed"]

    def test_a_child_does_not_outlive_the_time_of_its_parent(self, bench: Bench):
        top = bench.submit([sub("s", bench.save([ask()]))])
        bench.sql("UPDATE workflow_executions SET deadline_at = now() + interval '1 hour'")
        bench.settle(top)
        assert bench.children(top)[0].deadline_at == bench.execution(top).deadline_at
