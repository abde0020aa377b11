"""The maximum price of a run."""

from decimal import Decimal

import pytest

from models.rules.graph.graph import Node
from models.rules.lint.estimate import iterations
from models.rules.lint.lint import lint


def cost(*nodes):
    return lint({"nodes": list(nodes), "connections": []}).worst_case_credits


def node(node_id, node_type="process", parent=None, **config):
    return {"id": node_id, "type": node_type, "config": config, **({"parentId": parent} if parent else {})}


def test_a_run_costs_its_nodes_and_one_credit():
    assert cost(node("a"), node("b")) == Decimal("1.20")


@pytest.mark.parametrize(
    ("config", "credits"),
    [
        ({}, "2.10"),
        ({"provider": "openai"}, "3.10"),
        ({"provider": "anthropic"}, "4.10"),
        ({"provider": "Google"}, "3.10"),
    ],
)
def test_an_agent_costs_its_provider_too(config, credits):
    assert cost(node("a", "ai_agent", **config)) == Decimal(credits)


def test_children_cost_as_often_as_their_loop_may_run():
    assert cost(node("l", "loop", maxIterations=7), node("c", parent="l")) == Decimal("1.80")


def test_a_list_written_out_bounds_its_loop():
    assert cost(node("l", "loop", items=[1, 2, 3]), node("c", parent="l")) == Decimal("1.40")


def test_nested_loops_multiply():
    inner = node("m", "loop", "l", items=[1, 2])
    assert cost(node("l", "loop", items=[1, 2, 3]), inner, node("c", parent="m")) == Decimal("2.00")


def test_an_unknown_bound_counts_as_the_largest():
    assert cost(node("l", "loop", maxIterations="{{ input.n }}"), node("c", parent="l")) == Decimal("1001.10")


def test_a_graph_without_sense_has_no_cost():
    assert cost(node("a", parent="a")) is None


def test_nothing_costs_nothing():
    assert cost() == 0


@pytest.mark.parametrize(
    ("config", "times"),
    [({}, 100), ({"maxIterations": 5}, 5), ({"maxIterations": "5"}, 5), ({"while": "true", "items": [1]}, 100)],
)
def test_a_loop_is_bounded(config, times):
    assert iterations(Node("l", "loop", "l", config)) == times
