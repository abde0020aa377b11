"""What each node type makes of its config and its data."""

import json
from datetime import UTC, datetime

import pytest

from models.rules.config import compile_config
from models.rules.effects import (
    AgentTurn,
    Ask,
    Done,
    HttpAnswer,
    HttpCall,
    Iterate,
    ModelCall,
    Sleep,
    TextAnswer,
    Verdict,
)
from models.rules.expressions import ExpressionFailed
from models.rules.graph import Node, Retry
from models.rules.kinds import NodeCall
from models.rules.nodes import KINDS
from models.rules.pricing import Provider


def call(node_type, config=None, *, run_input=None, data=None, scope=None, label="Step"):
    """A call as the engine makes one."""
    node = Node("n1", node_type, label, config or {})
    seen = {"input": run_input, "data": data, "nodes": {}, "item": None, "index": None, **(scope or {})}
    compiled = compile_config(KINDS[node_type], node, frozenset())
    return NodeCall(node, compiled.resolve(seen), seen, data)


def begin(node_type, config=None, **given):
    return KINDS[node_type].begin(call(node_type, config, **given))


def result(node_type, config=None, **given):
    done = begin(node_type, config, **given)
    assert isinstance(done, Done)
    return done.output


def fails(node_type, config=None, **given):
    with pytest.raises(ExpressionFailed) as failure:
        begin(node_type, config, **given)
    return failure.value.detail


def test_the_registry_knows_the_types():
    assert set(KINDS) == {
        "input",
        "process",
        "decision",
        "api_call",
        "ai_agent",
        "output",
        "loop",
        "merge",
        "wait",
        "approval",
        "subworkflow",
    }


class TestInput:
    @pytest.mark.parametrize(
        ("config", "given", "value"),
        [
            ({}, {"a": 1}, {"a": 1}),
            ({}, "12", "12"),
            ({"inputType": "text"}, {"a": 1}, '{"a": 1}'),
            ({"inputType": "text"}, "hello", "hello"),
            ({"inputType": "json"}, '{"a": [1]}', {"a": [1]}),
            ({"inputType": "json"}, [1], [1]),
            ({"inputType": "number"}, "12", 12),
            ({"inputType": "number"}, "-1.5", -1.5),
            ({"inputType": "number"}, 3, 3),
            ({"inputType": "file"}, {"name": "a.txt"}, {"name": "a.txt"}),
            ({"inputType": "csv"}, "a,b\n1,2\n3,", [{"a": "1", "b": "2"}, {"a": "3", "b": ""}]),
            ({"inputType": "csv"}, '\ufeffa\n"x, y"\n', [{"a": "x, y"}]),
            ({"default": 7}, None, 7),
            ({"default": 7}, 0, 0),
            ({}, None, None),
        ],
    )
    def test_converts(self, config, given, value):
        assert result("input", config, run_input=given) == value

    def test_takes_the_part_under_its_key_and_otherwise_the_whole(self):
        assert result("input", {"key": "a"}, run_input={"a": 1, "other": 2}) == 1
        assert result("input", {"key": "a"}, run_input={"other": 2}) is None
        assert result("input", {"key": "a"}, run_input="no object") == "no object"
        assert result("input", run_input={"n1": 1, "other": 2}) == {"n1": 1, "other": 2}

    @pytest.mark.parametrize(
        ("config", "given", "words"),
        [
            ({"required": True}, None, "without input"),
            ({"inputType": "number"}, "twelve", "must be a number, not `twelve`"),
            ({"inputType": "number"}, True, "must be a number"),
            ({"inputType": "number"}, "inf", "must be a number"),
            ({"inputType": "json"}, "{", "not valid JSON"),
            ({"inputType": "json"}, "[NaN]", "not valid JSON"),
            ({"inputType": "csv"}, "a\n1,2", "more columns"),
            ({"inputType": "csv"}, {"a": 1}, "must be CSV text"),
            ({"inputType": "file"}, 3, "must be a file"),
        ],
    )
    def test_refuses(self, config, given, words):
        assert words in fails("input", config, run_input=given)


class TestProcess:
    @pytest.mark.parametrize(
        ("config", "data", "value"),
        [
            ({}, {"a": 1}, {"a": 1}),
            ({"expression": "data.a + 1"}, {"a": 1}, 2),
            ({"expression": "{{ data.a + 1 }}"}, {"a": 1}, 2),
            ({"operation": "filter", "expression": "item > 1"}, [1, 2, 3], [2, 3]),
            ({"operation": "map", "expression": "item * 10 + index"}, [1, 2], [10, 21]),
            ({"operation": "map", "expression": "item", "items": [5]}, None, [5]),
            ({"operation": "map", "expression": "item", "items": "{{ data.list }}"}, {"list": [6]}, [6]),
            ({"operation": "reduce", "expression": "accumulator + item", "initial": 0}, [1, 2, 3], 6),
            ({"operation": "reduce", "expression": "accumulator + item", "initial": 5}, [], 5),
            ({"operation": "sort"}, [2, 1.5, 3], [1.5, 2, 3]),
            ({"operation": "sort", "order": "desc"}, ["a", "c", "b"], ["c", "b", "a"]),
            ({"operation": "sort", "expression": "item.k"}, [{"k": 2}, {"k": 1}], [{"k": 1}, {"k": 2}]),
            ({"operation": "sort"}, [], []),
            ({"operation": "format", "expression": "Hi {{ data }}"}, "you", "Hi you"),
            ({"operation": "format"}, "as is", "as is"),
        ],
    )
    def test_computes(self, config, data, value):
        assert result("process", config, data=data) == value

    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_sorts_stably(self, order):
        rows = [{"k": 1, "n": n} for n in "abc"]
        assert result("process", {"operation": "sort", "expression": "item.k", "order": order}, data=rows) == rows

    @pytest.mark.parametrize(
        ("config", "data", "words"),
        [
            ({"operation": "filter", "expression": "item"}, [1], "true or false"),
            ({"operation": "map", "expression": "item"}, {"a": 1}, "works on a list, not on an object"),
            ({"operation": "map", "expression": "item.x"}, [{"x": 1}, {}], "(item 1)"),
            ({"operation": "sort"}, [1, "a"], "cannot compare"),
            ({"operation": "sort"}, [{}, {}], "sort by a field"),
            ({"operation": "sort"}, [None, None], "cannot compare"),
            ({"operation": "map", "expression": "item"}, [0] * 100_001, "at most 100,000 items, not 100,001"),
            ({"expression": "data.zz"}, {"a": 1}, "In config.expression of node n1: There is no `zz` in data."),
            ({"operation": "map", "expression": "data.size() + item"}, list(range(3000)), "together"),
        ],
    )
    def test_refuses(self, config, data, words):
        assert words in fails("process", config, data=data)

    def test_goes_through_many_items(self):
        config = {"operation": "map", "expression": "item + 1"}
        assert len(result("process", config, data=list(range(20_000)))) == 20_000


class TestDecision:
    @pytest.mark.parametrize(
        ("config", "data", "port"),
        [
            ({}, None, "true"),
            ({"condition": "data > 1"}, 2, "true"),
            ({"condition": "{{ data > 1 }}"}, 1, "false"),
            ({"condition": False}, 1, "false"),
            ({"cases": [{"name": "a", "condition": "data == 1"}, {"name": "b", "condition": "true"}]}, 1, "a"),
            ({"cases": [{"name": "a", "condition": "data == 1"}, {"name": "b", "condition": "true"}]}, 2, "b"),
            ({"cases": [{"name": "a", "condition": "data == 1"}]}, 3, "default"),
        ],
    )
    def test_chooses_a_port_and_passes_the_data_on(self, config, data, port):
        assert begin("decision", config, data=data) == Done(data, port)

    def test_offers_a_port_for_each_case_and_default(self):
        ports = KINDS["decision"].ports
        assert ports({}) == ("true", "false")
        assert ports({"cases": [{"name": "a"}, {"name": "b"}]}) == ("a", "b", "default")

    def test_takes_nothing_but_true_and_false_for_an_answer(self):
        assert "must be true or false, not a number" in fails("decision", {"condition": "data"}, data=1)


class TestApiCall:
    def test_asks_for_a_request_with_a_json_body(self):
        config = {"method": "post", "url": "https://x.example/{{ data }}", "body": {"a": "{{ data }}"}, "timeout": 5}
        expected = HttpCall("POST", "https://x.example/7", {"Content-Type": "application/json"}, b'{"a": 7}', 5.0)
        assert begin("api_call", config, data=7) == expected

    def test_sends_texts_as_they_are_and_keeps_the_given_content_type(self):
        config = {"method": "PUT", "url": "https://x.example", "headers": {"content-type": "text/csv"}, "body": "a,b"}
        asked = begin("api_call", config)
        assert (asked.headers, asked.body) == ({"content-type": "text/csv"}, b"a,b")

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"url": "{{ 'ftp://x' }}"}, "must begin with http"),
            ({"url": "https://x.example/{{ 'a b' }}"}, "urlEncode"),
            ({"url": "https://x.example", "headers": {"X": "{{ 'a\\r\\nEvil: b' }}"}}, "line break"),
            ({"url": "https://x.example", "headers": {"X Y": "1"}}, "not a name for a header"),
            ({"url": "https://x.example", "timeout": "{{ 0 }}"}, "at least 0.1"),
            ({"url": "{{ data }}"}, "must not be empty"),
        ],
    )
    def test_refuses(self, config, words):
        assert words in fails("api_call", config)

    def test_answers_status_headers_and_body(self):
        done = KINDS["api_call"].finish(
            call("api_call", {"url": "https://x"}), HttpAnswer(200, {"a": "b"}, {"ok": True})
        )
        assert done == Done({"status": 200, "headers": {"a": "b"}, "body": {"ok": True}})

    @pytest.mark.parametrize(
        ("config", "attempts"),
        [({}, 3), ({"method": "POST"}, 1), ({"method": "POST", "retries": 2}, 3), ({"retries": 0}, 1)],
    )
    def test_repeats_what_may_be_repeated(self, config, attempts):
        asked = call("api_call", {"url": "https://x", **config})
        assert KINDS["api_call"].retry_for(asked).max_attempts == attempts

    def test_the_node_has_the_last_word_on_repeating(self):
        node = Node("n1", "api_call", "x", {}, retry=Retry(max_attempts=7))
        assert KINDS["api_call"].retry_for(NodeCall(node, {"retries": 0}, {}, None)).max_attempts == 7


class TestAgent:
    def test_asks_openclaw_unless_told_otherwise(self):
        assert begin("ai_agent", {"prompt": "Hi {{ data }}", "agentId": "x"}, data=1) == AgentTurn("Hi 1", None, "x")

    def test_asks_a_provider(self):
        config = {"provider": "OpenAI", "model": "m", "prompt": "Hi", "system": "Be brief", "maxTokens": "50"}
        assert begin("ai_agent", config) == ModelCall(Provider.OPENAI, "m", "Hi", "Be brief", 50)

    def test_asks_with_the_data_when_there_is_no_prompt(self):
        assert begin("ai_agent", data={"a": 1}).prompt == '{"a": 1}'

    def test_refuses_to_ask_nothing(self):
        assert "nothing to ask" in fails("ai_agent")

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('{"a": 1}', {"a": 1}),
            ('Here:\n```json\n{"a": 1}\n```\nbye', {"a": 1}),
            ("```\n[1]\n```", [1]),
            ("[1, oops", None),
            ("plain 12", None),
            ("12", None),
            ("[NaN]", None),
            ("[" * 5000, None),
            ("[" * 300 + "]" * 300, None),
            ('["\\ud800"]', None),
            ("[123456789012345678901234567890]", [1.2345678901234568e29]),
        ],
    )
    def test_finds_json_in_what_was_said(self, text, value):
        done = KINDS["ai_agent"].finish(call("ai_agent", {"prompt": "x"}), TextAnswer(text, "m", {"total": 3}))
        assert done == Done({"text": text, "json": value, "model": "m", "usage": {"total": 3}})

    def test_is_priced_by_its_provider(self):
        assert KINDS["ai_agent"].provider({"provider": "anthropic"}) is Provider.ANTHROPIC
        assert KINDS["ai_agent"].provider({}) is Provider.OPENCLAW


class TestLoop:
    def test_goes_through_its_items(self):
        asked = begin(
            "loop", {"items": "{{ data.rows }}", "concurrency": 5, "maxIterations": 10}, data={"rows": [1, 2]}
        )
        assert asked == Iterate((1, 2), 10, 5)

    def test_goes_through_the_data_that_comes_in(self):
        assert begin("loop", data=[1]) == Iterate((1,), 100, 1)

    def test_never_leaves_items_out_silently(self):
        detail = fails("loop", {"items": "{{ data }}", "maxIterations": 2}, data=[1, 2, 3])
        assert "3 items" in detail
        assert "maxIterations is 2" in detail

    def test_needs_a_list(self):
        assert "needs a list" in fails("loop", data={"a": 1})

    def test_asks_its_condition_before_each_iteration(self):
        node = Node("l", "loop", "l", {"while": "index < 2", "maxIterations": 5})
        condition = compile_config(KINDS["loop"], node, frozenset()).loop_condition
        assert begin("loop", {"while": "true", "maxIterations": 5}) == Iterate(None, 5)
        assert [condition.holds({"index": index}, index) for index in range(3)] == [True, True, False]

    def test_a_condition_that_holds_for_too_long_is_an_error(self):
        node = Node("l", "loop", "l", {"while": "true", "maxIterations": 5})
        condition = compile_config(KINDS["loop"], node, frozenset()).loop_condition
        assert condition.holds({}, 4)
        with pytest.raises(ExpressionFailed, match="after 5 iterations"):
            condition.holds({}, 5)

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
        joined = NodeCall(Node("m", "merge", "M", {}), {}, {}, incoming=1, arrived={"a": 1})
        assert KINDS["merge"].begin(joined).output == {"a": 1}

    def test_a_merge_of_any_hands_on_the_value_itself(self):
        joined = NodeCall(Node("m", "merge", "M", {}), {"mode": "any"}, {}, incoming=1, arrived={"a": 1})
        assert KINDS["merge"].begin(joined).output == 1

    def test_a_merge_of_any_runs_at_the_first(self):
        joins_any = KINDS["merge"].joins_any
        assert joins_any({"mode": "ANY"})
        assert not joins_any({})


def test_a_failing_field_is_named_with_its_node():
    detail = fails("output", {"value": {"deep": "{{ input.gone.x }}"}}, run_input={})
    assert detail == "In config.value of node n1: There is no `gone` in input."


def test_a_config_without_expressions_is_resolved_once():
    node = Node("n", "output", "n", {"value": json.loads("[1, 2]")})
    compiled = compile_config(KINDS["output"], node, frozenset())
    assert compiled.resolve({}) is compiled.resolve({})


def test_a_config_says_which_nodes_it_reads():
    node = Node("n", "output", "n", {"value": ["{{ nodes.a-1.output }}", "{{ nodes.b.output.x }}"]})
    assert compile_config(KINDS["output"], node, frozenset({"a-1", "b"})).nodes == {"a-1", "b"}


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
        done = KINDS["approval"].finish(call("approval", data=7), Verdict(approved, "ok"))
        assert done == Done({"approved": approved, "comment": "ok", "data": 7}, port)
