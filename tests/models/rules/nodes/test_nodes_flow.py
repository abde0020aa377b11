"""Nodes that direct a run: loops, merges, waits, approvals and its end."""

from datetime import UTC, datetime

import pytest

from models.errors import ExpressionFailed
from models.rules.graph.config import compile_config
from models.rules.graph.effects import ApprovalResult, Ask, Done, Iterate, Sleep
from models.rules.graph.graph import Node
from models.rules.graph.kinds import NodeCall
from models.rules.nodes import KINDS
from models.rules.values.scope import Scope
from tests.support.engine.node_steps import begin, call, fails, result


class TestLoop:
    def test_goes_through_its_items(self):
        asked = begin(
            "loop", {"items": "{{ data.rows }}", "concurrency": 5, "maxIterations": 10}, data={"rows": [1, 2]}
        )
        assert asked == Iterate((1, 2), 5)

    def test_goes_through_the_data_that_comes_in(self):
        assert begin("loop", data=[1]) == Iterate((1,), 1)

    def test_never_leaves_items_out_silently(self):
        detail = fails("loop", {"items": "{{ data }}", "maxIterations": 2}, data=[1, 2, 3])
        assert "3 items" in detail
        assert "maxIterations is 2" in detail

    def test_needs_a_list(self):
        assert "needs a list" in fails("loop", data={"a": 1})

    def test_asks_its_condition_before_each_iteration(self):
        node = Node("l", "loop", "l", {"while": "index < 2", "maxIterations": 5})
        condition = compile_config(KINDS["loop"], node, frozenset()).loop_condition
        assert begin("loop", {"while": "true", "maxIterations": 5}) == Iterate(None)
        assert [condition.holds(Scope({"index": index}), index) for index in range(3)] == [True, True, False]

    def test_a_condition_that_holds_for_too_long_is_an_error(self):
        node = Node("l", "loop", "l", {"while": "true", "maxIterations": 5})
        condition = compile_config(KINDS["loop"], node, frozenset()).loop_condition
        assert condition.holds(Scope({}), 4)
        with pytest.raises(ExpressionFailed, match="after 5 iterations"):
            condition.holds(Scope({}), 5)

    def test_a_loop_over_items_has_no_condition(self):
        assert compile_config(KINDS["loop"], Node("l", "loop", "l", {"items": [1]}), frozenset()).loop_condition is None


class TestOutputAndMerge:
    @pytest.mark.parametrize(
        ("config", "data", "value"),
        [
            ({}, {"a": 1}, {"a": 1}),
            ({"value": "{{ data.a }}"}, {"a": 1}, 1),
            ({"value": {"x": ["{{ data }}", "n: {{ data }}"]}}, 1, {"x": [1, "n: 1"]}),
            ({"outputType": "text"}, {"a": 1}, '{"a": 1}'),
        ],
    )
    def test_an_output_is_its_value_or_the_data(self, config, data, value):
        assert result("output", config, data=data) == value

    def test_a_merge_hands_on_what_arrived_by_node(self):
        joined = NodeCall(Node("m", "merge", "M", {}), {}, Scope({}), incoming=1, arrived={"a": 1})
        assert KINDS["merge"].begin(joined).output == {"a": 1}

    def test_a_merge_of_any_hands_on_the_value_itself(self):
        joined = NodeCall(Node("m", "merge", "M", {}), {"mode": "any"}, Scope({}), incoming=1, arrived={"a": 1})
        assert KINDS["merge"].begin(joined).output == 1

    def test_a_merge_of_any_runs_at_the_first(self):
        joins_any = KINDS["merge"].joins_any
        assert joins_any({"mode": "ANY"})
        assert not joins_any({})


class TestWait:
    def test_waits_for_a_while_or_until_a_moment(self):
        assert begin("wait", {"seconds": 90}) == Sleep(seconds=90.0)
        assert begin("wait", {"until": "2027-01-31T09:00:00Z"}) == Sleep(until=datetime(2027, 1, 31, 9, tzinfo=UTC))
        assert begin("wait", {"until": "2027-01-31T09:00:00"}) == Sleep(until=datetime(2027, 1, 31, 9, tzinfo=UTC))

    def test_refuses_what_is_no_moment(self):
        assert "not `soon`" in fails("wait", {"until": "soon"})

    def test_has_one_of_both(self):
        assert KINDS["wait"].findings({"seconds": 1, "until": "x"})[0][0] == "error"
        assert KINDS["wait"].findings({})[0][0] == "warning"


class TestApproval:
    def test_asks_its_message_or_its_label(self):
        assert begin("approval", {"message": "Send {{ data }}?", "timeout": 60}, data="it") == Ask("Send it?", 60.0)
        assert begin("approval", label="Really?") == Ask("Really?", None)

    @pytest.mark.parametrize(("approved", "port"), [(True, "approved"), (False, "rejected"), (None, "timeout")])
    def test_takes_the_port_of_the_answer(self, approved, port):
        done = KINDS["approval"].finish(call("approval", data=7), ApprovalResult(approved, "ok"))
        assert done == Done({"approved": approved, "comment": "ok", "data": 7}, port)
