"""A run with child runs: it waits for them as a row and gets their results at once."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from models.db import session_scope
from models.rules.lint.subworkflows import MAX_DEPTH
from models.services.executions import wait_status
from models.services.orchestration import children, redelivery
from models.tables import Workflow
from tests.support import factories
from tests.support.engine.bench import Bench, approve, ask, call, cancel, connect_all, event_types, sub, transform
from tests.support.engine.world import World
from tests.support.factories import node
from workers.engine.driver.outcomes import DriveResult


class TestAChild:
    def test_is_a_run_of_its_own_whose_output_is_the_nodes(self, bench: Bench):
        inner = bench.save([call("a"), transform("t", "nodes.a.output.body + input.x")], "a>t", name="Inner")
        nodes = [transform("before", "{'x': '!'}"), sub("s", inner), transform("after", "nodes.s.output + '?'")]
        run = bench.settle(bench.submit(nodes, "before>s", "s>after"))
        assert (run.status, run.output) == ("success", "a!?")
        (child,) = bench.children(run.id)
        assert (child.status, child.output, child.input) == ("success", "a!", {"x": "!"})
        assert (child.workflow_id, child.workflow_name, child.depth) == (inner, "Inner", 1)
        assert (child.parent_node_id, child.parent_path, child.parent_attempt) == ("s", "", 1)
        assert bench.nodes(run.id)["s"].external_ref["childExecutionId"] == str(child.id)

    def test_gets_the_input_that_the_node_names(self, bench: Bench):
        inner = bench.save([transform("t", "input")])
        run = bench.settle(bench.submit([sub("s", inner, input={"n": "{{ input * 2 }}"})], value=21))
        assert run.output == {"n": 42}

    def test_costs_what_it_costs_by_itself_and_the_node_costs_a_node(self, bench: Bench):
        inner = bench.save([call("a"), call("b")], "a>b")
        run = bench.settle(bench.submit([sub("s", inner)], cap=50))
        (child,) = bench.children(run.id)
        assert (run.credits_charged, child.credits_charged) == (Decimal("1.10"), Decimal("1.20"))
        assert bench.sql("SELECT balance FROM credits WHERE user_id = :id", id=bench.user_id) == Decimal("99997.70")
        assert bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id) == 0

    def test_its_parent_waits_as_a_row_and_names_it(self, bench: Bench):
        run_id = bench.submit([sub("s", bench.save([call("a")], name="Inner"))])
        assert bench.runtime.drive(run_id) is DriveResult.PARKED
        run, (child,) = bench.execution(run_id), bench.children(run_id)
        assert (run.status, run.lease_owner, run.wake_at) == ("waiting", None, None)
        assert (run.waiting_for["type"], run.waiting_for["message"]) == ("subworkflow", "Waits for Inner.")
        assert run.waiting_for["childExecutionId"] == str(child.id) == str(bench.enqueued.get())
        assert bench.runtime.drive(run_id) is None

    def test_what_it_asks_is_found_from_the_parent(self, bench: Bench):
        inner = bench.save([ask()], name="Inner")
        run = bench.settle(bench.submit([sub("s", bench.save([sub("s", inner)], name="Middle"))]))
        with session_scope() as session:
            told = wait_status.wait_status(session, run).waiting_for
        assert (told["type"], told["message"]) == ("subworkflow", "Waits for Middle. Inner: Go on?")
        (asking,) = told["runs"]
        approve(bench, UUID(asking["executionId"]), asking["waitingFor"]["nodeId"])
        bench.settle(UUID(asking["executionId"]))
        assert bench.execution(run.id).status == "success"

    def test_its_end_wakes_the_parent_at_once(self, bench: Bench):
        run_id = bench.submit([sub("s", bench.save([call("a")]))])
        bench.runtime.drive(run_id)
        bench.runtime.drive(bench.enqueued.get())
        assert bench.execution(run_id).wake_at is not None
        assert [run.execution_id for run in redelivery.woken_by(bench.children(run_id)[0].id)] == [run_id]
        assert bench.another().drive(run_id) is DriveResult.ENDED

    def test_a_message_that_was_lost_is_found_by_the_sweep(self, bench: Bench):
        run_id = bench.submit([sub("s", bench.save([call("a")]))])
        bench.runtime.drive(run_id)
        bench.runtime.drive(bench.enqueued.get())
        with session_scope() as session:
            assert run_id in [run.execution_id for run in redelivery.stalled(session)]

    def test_a_parent_busy_with_another_branch_gets_its_result_too(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        bench.world.on("after", lambda *_: bench.world.release.set())
        nodes = [sub("s", bench.save([call("a")])), call("after"), call("slow")]
        run_id = bench.submit(nodes, "s>after")
        left = bench.in_background(run_id)
        bench.another().drive(bench.enqueued.get(timeout=10))
        assert left() is DriveResult.ENDED
        assert bench.execution(run_id).status == "success"

    def test_it_is_recorded_in_both_histories(self, bench: Bench):
        run = bench.settle(bench.submit([sub("s", bench.save([call("a")]))]))
        (child,) = bench.children(run.id)
        types = event_types(bench, run.id)
        assert types.index("child.started") < types.index("child.ended") < types.index("node.success")
        assert event_types(bench, child.id)[:2] == ["execution.queued", "execution.started"]
        ended = next(event for event in bench.events(run.id) if event.type == "child.ended")
        assert ended.data == {"childExecutionId": str(child.id), "status": "success"}
        assert ended.node_id == "s"


class TestAChildThatFails:
    def failing(self, bench: Bench, times: int = 1) -> UUID:
        bench.world.on("bad", World.fail(times, retryable=False))
        return bench.save([call("bad")])

    def test_fails_the_node_with_its_error(self, bench: Bench):
        run = bench.settle(bench.submit([sub("s", self.failing(bench))]))
        assert (run.status, run.error["code"], run.error["nodeId"]) == ("failed", "http_503", "s")
        assert run.credits_charged == 1  # the other side broke the child's node: only the fee is due

    def test_is_run_again_as_another_run_where_the_node_says_so(self, bench: Bench):
        retry = {"maxAttempts": 2, "initialInterval": 0}
        run = bench.settle(bench.submit([sub("s", self.failing(bench), retry=retry)]))
        assert run.status == "success"
        assert [(c.status, c.parent_attempt) for c in bench.children(run.id)] == [("failed", 1), ("success", 2)]
        assert bench.nodes(run.id)["s"].attempt == 2

    def test_between_two_attempts_the_parent_is_parked(self, bench: Bench):
        retry = {"maxAttempts": 2, "initialInterval": 600, "maxInterval": 600}
        run_id = bench.submit([sub("s", self.failing(bench), retry=retry)])
        run = bench.settle(run_id)
        assert run.status == "waiting"
        assert run.wake_at - datetime.now(UTC) > timedelta(seconds=250)
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        bench.sql(
            "UPDATE node_executions SET external_ref = jsonb_set(external_ref, '{until}', to_jsonb(CAST(:t AS text)))"
            " WHERE status = 'waiting'",
            t=past,
        )
        bench.sql("UPDATE workflow_executions SET wake_at = now() WHERE id = :id", id=run_id)
        assert bench.settle(run_id).status == "success"

    def test_may_be_mended(self, bench: Bench):
        on = {"onError": "continue", "defaultValue": "instead"}
        nodes = [sub("s", self.failing(bench), **on), transform("t", "nodes.s.output")]
        run = bench.settle(bench.submit(nodes, "s>t"))
        assert (run.status, run.output) == ("success", "instead")

    def test_takes_the_error_port(self, bench: Bench):
        nodes = [sub("s", self.failing(bench), onError="branch"), transform("t", "nodes.s.output.error.code")]
        run = bench.settle(bench.submit(nodes, "s:error>t"))
        assert (run.status, run.output) == ("success", "http_503")

    def test_that_is_cancelled_alone_fails_the_node(self, bench: Bench):
        retry = {"maxAttempts": 3, "initialInterval": 0}
        run_id = bench.submit([sub("s", bench.save([ask()]), retry=retry)])
        bench.settle(run_id)
        (child,) = bench.children(run_id)
        cancel(bench, child.id)
        run = bench.settle(run_id)
        assert (run.status, run.error["code"]) == ("failed", "subworkflow_cancelled")
        assert len(bench.children(run_id)) == 1

    def test_that_takes_too_long_is_stopped(self, bench: Bench):
        run_id = bench.submit([sub("s", bench.save([ask()]), timeout=0.05)])
        bench.settle(run_id)
        time.sleep(0.1)
        bench.sql("UPDATE workflow_executions SET wake_at = now() WHERE id = :id AND status = 'waiting'", id=run_id)
        run = bench.settle(run_id)
        assert (run.status, run.error["code"]) == ("failed", "timeout")
        assert [child.status for child in bench.children(run_id)] == ["cancelled"]

    def test_of_a_workflow_that_is_gone_or_broken_is_not_started(self, bench: Bench):
        inner = bench.save([call("a")])
        run_id = bench.submit([sub("s", inner)])
        bench.sql("UPDATE workflows SET deleted_at = now() WHERE id = :id", id=inner)
        run = bench.settle(run_id)
        assert (run.status, run.error["code"], bench.children(run_id)) == ("failed", "not_found", [])

    def test_of_another_users_workflow_is_not_started(self, bench: Bench):
        with session_scope() as session:
            inner = factories.workflow(session).id
        run = bench.settle(bench.submit([sub("s", inner)]))
        assert (run.status, run.error["code"]) == ("failed", "not_found")

    def test_of_a_workflow_that_the_tier_does_not_allow_is_not_started(self, bench: Bench):
        inner = bench.save([transform(f"n{number}", "1") for number in range(11)])
        run = bench.settle(bench.submit([sub("s", inner)]))
        assert (run.status, run.error["code"]) == ("failed", "node_limit_reached")


class TestDepth:
    def test_a_workflow_may_run_itself_until_it_has_enough(self, bench: Bench):
        inner = bench.save([call("a")])
        graph = {
            "nodes": [
                node("q", "decision", config={"condition": "input > 0"}),
                sub("s", inner, input="{{ input - 1 }}"),
                transform("end", "'bottom'"),
            ],
            "connections": connect_all("q:true>s", "q:false>end"),
        }
        with session_scope() as session:
            workflow = session.get_one(Workflow, inner)
            factories.version(session, workflow, graph=graph)
        run = bench.settle(bench.submit([], document=graph, value=MAX_DEPTH))
        assert (run.status, run.output) == ("success", "bottom")
        depths = bench.sql("SELECT array_agg(depth ORDER BY depth) FROM workflow_executions")
        assert depths == list(range(MAX_DEPTH + 1))
        run = bench.settle(bench.submit([], document=graph, value=MAX_DEPTH + 1))
        assert (run.status, run.error["code"]) == ("failed", "nested_too_deeply")

    def test_a_loop_runs_a_child_for_each_item(self, bench: Bench):
        inner = bench.save([transform("t", "input * 10")])
        each = node("each", "loop", config={"items": "{{ input }}", "concurrency": 2})
        run = bench.settle(bench.submit([each, sub("s", inner, parentId="each")], value=[1, 2, 3, 4, 5]))
        assert (run.status, run.output) == ("success", [10, 20, 30, 40, 50])
        assert sorted(child.parent_path for child in bench.children(run.id)) == list("01234")

    def test_no_run_starts_more_than_it_may(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(children, "MAX_CHILDREN", 2)
        inner = bench.save([transform("t", "input")])
        each = node("each", "loop", config={"items": "{{ input }}"})
        run = bench.settle(bench.submit([each, sub("s", inner, parentId="each")], value=[1, 2, 3]))
        assert run.status == "failed"
        assert "may start at most 2 runs" in run.error["message"]
        assert len(bench.children(run.id)) == 2
