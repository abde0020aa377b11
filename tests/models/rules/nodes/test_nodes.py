"""Results of each node type for its config and data."""

import json

import pytest

from models.errors import ExpressionFailed
from models.rules.graph.config import compile_config
from models.rules.graph.effects import Done
from models.rules.graph.graph import Node
from models.rules.nodes import KINDS
from tests.support.engine.node_steps import begin, call, fails, result


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
            (
                {"operation": "code", "code": "const half = data / 2;\nreturn {half, twice: data * 2}"},
                3,
                {"half": 1.5, "twice": 6},
            ),
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
            ({"operation": "map", "expression": "data.push(item)"}, [1], "make a copy, as in [...data]. (item 0)"),
            ({"operation": "code", "code": "data.a"}, {"a": 1}, "The code returns nothing"),
        ],
    )
    def test_refuses(self, config, data, words):
        assert words in fails("process", config, data=data)

    def test_goes_through_many_items(self):
        config = {"operation": "map", "expression": "item + 1"}
        assert len(result("process", config, data=list(range(20_000)))) == 20_000


HEAVY = "range(1e6).map(n => n % 7).length > 0"


class TestTooExpensive:
    @pytest.mark.parametrize("operation", ["transform", "filter", "map"])
    def test_an_operation_advises_code(self, operation):
        words = fails("process", {"operation": operation, "expression": HEAVY}, data=[1])
        assert "It takes more than 50 million instructions, which is the limit for " in words
        assert words.endswith("bytes of data; compute less, or use operation code.")

    @pytest.mark.parametrize(
        ("node_type", "config"),
        [
            ("process", {"operation": "code", "code": "for (;;); return 1"}),
            ("api_call", {"url": f"https://api.example/{{{{ {HEAVY} }}}}"}),
        ],
    )
    def test_what_cannot_be_code_is_only_advised_to_compute_less(self, node_type, config):
        assert fails(node_type, config, data=[1]).endswith("bytes of data; compute less.")

    def test_a_condition_is_only_advised_to_compute_less(self):
        assert fails("decision", {"condition": HEAVY}, data=[1]).endswith("bytes of data; compute less.")

    @pytest.mark.parametrize(
        ("condition", "advice"),
        [(HEAVY, "compute less, or write it as a function body."), ("for (;;); return true", "compute less.")],
    )
    def test_the_while_of_a_loop_is_advised_to_be_a_function_body(self, condition, advice):
        node = call("loop", {"while": condition})
        with pytest.raises(ExpressionFailed) as failure:
            node.config["while"].evaluate(node.scope)
        assert failure.value.detail.endswith(f"bytes of data; {advice}")


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
