"""A run traverses its graph once, charges what ran, and records events."""

import itertools
import threading
from decimal import Decimal

import pytest

from models.db import session_scope
from models.services.executions import executions
from models.tables import User
from tests.support.engine.bench import Bench, call, transform
from tests.support.engine.world import World
from tests.support.factories import node


class TestPureNodes:
    def test_values_flow_to_the_output(self, bench: Bench):
        run = bench.run(
            [
                node("in", "input", config={"inputType": "json"}),
                transform("double", "input.n * 2"),
                node("out", "output", config={"value": {"twice": "{{ nodes.double.output }}"}}),
            ],
            "in>double",
            "double>out",
            value={"n": 21},
        )
        assert run.status == "success"
        assert run.output == {"twice": 42}
        assert run.nodes_executed == 3
        assert run.progress == 100

    def test_every_node_that_ran_is_charged_and_the_run_once(self, bench: Bench):
        run = bench.run([transform("a", "1"), transform("b", "2")], "a>b")
        assert run.credits_charged == Decimal("1.20")
        assert bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id) == 0
        assert bench.sql("SELECT balance FROM credits WHERE user_id = :id", id=bench.user_id) == Decimal("99998.80")

    def test_events_have_no_gap_and_are_in_order(self, bench: Bench):
        run = bench.run([transform("a", "1"), transform("b", "2")], "a>b")
        events = bench.events(run.id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events] == [
            "execution.queued",
            "execution.started",
            "node.success",
            "node.success",
            "execution.success",
        ]

    def test_a_path_not_taken_is_skipped_and_free(self, bench: Bench):
        run = bench.run(
            [node("d", "decision", config={"condition": "input > 3"}), transform("yes", "1"), transform("no", "2")],
            "d:true>yes",
            "d:false>no",
            value=5,
        )
        rows = bench.nodes(run.id)
        assert {name: row.status for name, row in rows.items()} == {"d": "success", "yes": "success", "no": "skipped"}
        assert run.credits_charged == Decimal("1.20")

    def test_an_expression_that_fails_names_node_and_field(self, bench: Bench):
        run = bench.run([transform("a", "input.missing.thing")], value={})
        assert run.status == "failed"
        assert run.error["nodeId"] == "a"
        assert "expression" in run.error["message"]
        assert run.credits_charged == Decimal("1.10")  # the workflow's own making

    def test_a_result_that_is_too_large_fails_its_node(self, bench: Bench):
        bench.world.on("a", lambda *_: "x" * 2_000_000)
        run = bench.run([call("a")])
        assert run.status == "failed"
        assert run.error["code"] == "output_refused"

    def test_what_the_database_cannot_store_is_replaced(self, bench: Bench):
        bench.world.on("a", lambda *_: {"text": "nul\x00l", "half \ud83d": [2**64]})
        run = bench.run([call("a")])
        assert run.status == "success"
        assert run.output["body"] == {"text": "nul\ufffdl", "half \ufffd": [str(2**64)]}


class TestEffects:
    def test_ready_effects_run_side_by_side(self, bench: Bench):
        together = threading.Barrier(8, timeout=10)
        for index in range(8):
            bench.world.on(f"m{index}", lambda *_: together.wait() >= 0)
        nodes = [call(f"m{index}") for index in range(8)]
        assert bench.run(nodes).status == "success"
        assert bench.world.most_at_once == 8

    def test_a_result_is_stored_before_its_successor_starts(self, bench: Bench):
        seen = []
        statement = "SELECT status FROM node_executions WHERE node_id = 'first'"
        bench.world.on("second", lambda *_: seen.append(bench.sql(statement)))
        bench.run([call("first"), call("second", method="POST")], "first>second")
        assert seen == ["success"]

    def test_the_start_is_stored_before_the_call(self, bench: Bench):
        seen = []
        statement = "SELECT status FROM node_executions WHERE node_id = 'only'"
        bench.world.on("only", lambda *_: seen.append(bench.sql(statement)))
        bench.run([call("only", method="POST")])
        assert seen == ["running"]

    def test_attempts_repeat_and_cost_once(self, bench: Bench):
        bench.world.on("a", World.fail(2))
        run = bench.run([call("a", retry={"maxAttempts": 3, "initialInterval": 0.01})])
        assert run.status == "success"
        assert bench.nodes(run.id)["a"].attempt == 3
        assert run.credits_charged == Decimal("1.10")
        assert [event.type for event in bench.events(run.id)].count("node.retrying") == 2
        assert len({attempt.key for attempt in bench.world.attempts}) == 1

    def test_attempts_come_to_an_end(self, bench: Bench):
        bench.world.on("a", World.fail(9))
        run = bench.run([call("a", retry={"maxAttempts": 2, "initialInterval": 0.01})])
        assert (run.status, run.error["attempts"], bench.world.calls["a"]) == ("failed", 2, 2)

    def test_what_a_pure_node_in_between_computed_is_stored_too(self, bench: Bench):
        seen = []
        statement = "SELECT count(*) FROM node_executions WHERE status = 'success'"
        bench.world.on("last", lambda *_: seen.append(bench.sql(statement)))
        bench.run([call("first"), transform("x", "1"), transform("y", "2"), call("last")], "first>x", "x>y", "y>last")
        assert seen == [3]

    def test_a_final_failure_of_the_server_is_not_retried_and_costs_the_fee(self, bench: Bench):
        bench.world.on("a", World.fail(1, retryable=False))
        run = bench.run([call("a", retry={"maxAttempts": 3, "initialInterval": 0.01})])
        assert (run.status, run.credits_charged, bench.world.calls["a"]) == ("failed", 1, 1)
        assert run.error == {"code": "http_503", "message": "The service is away.", "nodeId": "a", "attempts": 1}

    def test_a_failure_stops_what_runs_beside_it(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        bench.world.on("bad", lambda *args: bench.world.arrived.wait(10) and World.fail(1, retryable=False)(*args))
        run = bench.run([call("slow"), call("bad")])
        assert run.status == "failed"
        assert bench.nodes(run.id)["slow"].status == "cancelled"


class TestMerge:
    def test_all_gathers_the_branches_that_were_taken_by_name(self, bench: Bench):
        nodes = [node("d", "decision", config={"condition": "true"}), transform("yes", "1"), transform("no", "2")]
        run = bench.run([*nodes, node("m", "merge")], "d:true>yes", "d:false>no", "yes>m", "no>m")
        assert run.output == {"yes": 1}

    def test_any_goes_on_with_the_first_and_ignores_the_rest(self, bench: Bench):
        bench.world.on("slow", bench.world.hang)
        bench.world.on("after", lambda *_: bench.world.release.set())
        nodes = [call("fast"), call("slow"), node("m", "merge", config={"mode": "any"}), call("after")]
        run = bench.run(nodes, "fast>m", "slow>m", "m>after")
        assert (run.status, bench.nodes(run.id)["m"].output["body"]) == ("success", "fast")


class TestErrorPolicies:
    def test_continue_goes_on_with_the_default(self, bench: Bench):
        bench.world.on("a", World.fail(9, retryable=False))
        run = bench.run([call("a", onError="continue", defaultValue=7), transform("b", "nodes.a.output + 1")], "a>b")
        assert (run.status, run.output) == ("success", 8)
        assert bench.nodes(run.id)["a"].status == "failed"

    def test_branch_takes_the_error_port_only(self, bench: Bench):
        bench.world.on("a", World.fail(9, retryable=False))
        run = bench.run(
            [call("a", onError="branch"), transform("fine", "1"), transform("mend", "nodes.a.output.error.code")],
            "a>fine",
            "a:error>mend",
        )
        assert (run.status, run.output) == ("success", "http_503")
        assert bench.nodes(run.id)["fine"].status == "skipped"


class TestSize:
    def test_a_thousand_branches_run_and_join(self, bench: Bench):
        middle = [transform(f"m{index}", "1") for index in range(1000)]
        pairs = [pair for node in middle for pair in (f"first>{node['id']}", f"{node['id']}>last")]
        run = bench.run(
            [transform("first", "1"), *middle, transform("last", "Object.keys(nodes).length")], *pairs, cap=200
        )
        assert (run.status, run.nodes_executed, run.output) == ("success", 1002, 1002)

    def test_a_chain_of_eleven_hundred_nodes_hands_its_value_on(self, bench: Bench):
        first, *rest = (f"n{index}" for index in range(1100))
        nodes = [transform(first, "0"), *(transform(name, "data + 1") for name in rest)]
        pairs = [f"{before}>{after}" for before, after in itertools.pairwise([first, *rest])]
        run = bench.run(nodes, *pairs, cap=200)
        assert (run.status, run.nodes_executed, run.output) == ("success", 1100, 1099)


class TestLoops:
    def loop(self, **config: object) -> dict[str, object]:
        return node("each", "loop", config=config)

    def test_children_run_for_each_item_and_results_keep_their_order(self, bench: Bench):
        run = bench.run(
            [self.loop(items="{{ input }}", concurrency=2), transform("square", "item * item", parentId="each")],
            value=[1, 2, 3, 4],
        )
        assert run.output == [1, 4, 9, 16]
        assert run.credits_charged == Decimal("1.50")
        assert set(bench.nodes(run.id)) == {"each", "square@0", "square@1", "square@2", "square@3"}

    def test_no_more_iterations_at_once_than_allowed(self, bench: Bench):
        together, linger = threading.Barrier(3, timeout=30), World.slow(0.05)  # in which a fourth would come
        bench.world.on("visit", lambda *call: together.wait() >= 0 and linger(*call))
        run = bench.run([self.loop(items="{{ input }}", concurrency=3), call("visit", parentId="each")], value=[0] * 9)
        assert run.status == "success"
        assert bench.world.calls["visit"] == 9
        assert bench.world.most_at_once == 3

    def test_while_runs_until_its_condition_fails(self, bench: Bench):
        run = bench.run(
            [
                self.loop(**{"while": "index < 3"}),
                transform("next", "index", parentId="each"),
            ]
        )
        assert run.output == [0, 1, 2]

    def test_while_never_passes_its_bound(self, bench: Bench):
        run = bench.run([self.loop(**{"while": "true", "maxIterations": 5}), transform("x", "1", parentId="each")])
        assert run.status == "failed"
        assert "5" in run.error["message"]

    def test_too_many_items_are_refused_rather_than_cut(self, bench: Bench):
        run = bench.run(
            [self.loop(items="{{ input }}", maxIterations=2), transform("x", "1", parentId="each")], value=[1, 2, 3]
        )
        assert run.status == "failed"
        assert "3" in run.error["message"]
        assert "2" in run.error["message"]

    def test_a_failed_iteration_fails_the_loop_and_its_policy_applies(self, bench: Bench):
        bench.world.on("visit", World.fail(1, retryable=False))
        each = self.loop(items="{{ input }}") | {"onError": "continue", "defaultValue": "gave up"}
        run = bench.run(
            [each, call("visit", parentId="each"), transform("after", "nodes.each.output")], "each>after", value=[1, 2]
        )
        assert (run.status, run.output) == ("success", "gave up")
        assert bench.nodes(run.id)["each"].error["code"] == "iteration_failed"

    def test_loops_within_loops_see_their_own_items(self, bench: Bench):
        run = bench.run(
            [
                self.loop(items="{{ input }}"),
                node("inner", "loop", config={"items": "{{ item }}"}, parentId="each"),
                transform("x", "item + 1", parentId="inner"),
            ],
            value=[[1, 2], [3]],
        )
        assert run.output == [[2, 3], [4]]
        assert "x@1.0" in bench.nodes(run.id)


class TestCredits:
    def test_a_run_past_its_cap_waits_with_its_results(self, bench: Bench):
        run = bench.run([call("a"), call("b")], "a>b", cap=Decimal("1.10"))
        assert run.status == "waiting"
        assert run.waiting_for["type"] == "budget"
        assert run.credits_charged == Decimal("1.10")  # the fee was due when its first node began
        assert run.lease_owner is None
        assert bench.world.calls == {"a": 1}

    def test_it_goes_on_where_it_waited(self, bench: Bench):
        run = bench.run([call("a"), call("b")], "a>b", cap=Decimal("1.10"))
        bench.sql("UPDATE credit_holds SET amount = 5 WHERE execution_id = :id", id=run.id)
        bench.sql("UPDATE credits SET held = 5 WHERE user_id = :id", id=bench.user_id)
        bench.sql("UPDATE workflow_executions SET credits_cap = 5, wake_at = now() WHERE id = :id", id=run.id)
        bench.runtime.drive(run.id)
        run = bench.execution(run.id)
        assert (run.status, run.credits_charged) == ("success", Decimal("1.20"))
        assert bench.world.calls == {"a": 1, "b": 1}


class TestCancel:
    @pytest.mark.parametrize("wait_for_call", [True, False])
    def test_it_reaches_a_call_under_way(self, bench: Bench, wait_for_call: bool):
        bench.world.on("a", bench.world.hang)
        execution_id = bench.submit([transform("z", "1"), call("a"), call("b")], "z>a", "a>b")
        done = bench.in_background(execution_id)
        if wait_for_call:
            assert bench.world.arrived.wait(10)
        with session_scope() as session:
            executions.request_cancel(session, session.get_one(User, bench.user_id), execution_id)
        done()
        run = bench.execution(execution_id)
        assert run.status == "cancelled"
        assert bench.world.calls["b"] == 0
        assert bench.sql("SELECT held FROM credits WHERE user_id = :id", id=bench.user_id) == 0
