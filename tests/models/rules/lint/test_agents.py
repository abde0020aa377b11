"""Which OpenClaw agents a graph names, and which of them there are."""

from typing import Any

import pytest

from models.rules.lint.agents import agents_of, judge_agents
from models.rules.lint.lint import check_shape
from tests.support.factories import chain, node


def asking(**config: Any) -> dict[str, Any]:
    return chain(node("in", "input"), node("ask", "ai_agent", config={"prompt": "Hi", **config}))


def judged(graph: dict[str, Any], *offered: str) -> list[tuple[str, str, str | None]]:
    kept = [named.to_json() for named in agents_of(graph)]
    return [(found.field, found.message, found.node_id) for found in judge_agents(kept, offered)]


def test_an_agent_that_is_not_there_is_named_with_those_that_are() -> None:
    told = "OpenClaw has no agent `writer` here. There are: flow, research."
    assert judged(asking(agentId="writer"), "flow", "research") == [("nodes.1.config.agentId", told, "ask")]
    assert judged(asking(agentId="writer")) == [
        ("nodes.1.config.agentId", "OpenClaw has no agent `writer` here.", "ask")
    ]


def test_names_are_quoted_and_shortened() -> None:
    ((_, message, _),) = judged(asking(agentId="x" * 5_000), *(f"a{number}" for number in range(50)))
    assert len(message) < 200


@pytest.mark.parametrize("config", [{"agentId": "flow"}, {"agentId": ""}, {"agentId": None}, {}], ids=str)
def test_one_that_is_there_and_the_default_one_are_no_problem(config: dict[str, Any]) -> None:
    assert judged(asking(**config), "flow") == []


@pytest.mark.parametrize(
    "config",
    [{"agentId": "{{ input.agent }}"}, {"provider": "openai", "agentId": "writer"}, {"agentId": 7}, {"agentId": ["x"]}],
    ids=str,
)
def test_what_names_none_for_sure_is_not_judged(config: dict[str, Any]) -> None:
    assert agents_of(asking(**config)) == ()


def test_while_no_list_is_known_nothing_is_judged() -> None:
    kept = [named.to_json() for named in agents_of(asking(agentId="writer"))]
    assert len(kept) == 1
    assert judge_agents(kept, None) == ()


@pytest.mark.parametrize("rest", [{}, {"config": None}, {"config": {"agentId": None}}])
def test_every_graph_of_valid_shape_can_be_checked(rest: dict[str, Any]) -> None:
    graph = {"nodes": [{"id": "a", "type": "ai_agent", **rest}]}
    if not check_shape(graph):
        assert agents_of(graph) == ()
