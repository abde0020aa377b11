"""Whatever one body holds, judging it takes time in proportion to it: each graph here once took many seconds."""

import time
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from models.rules.graph.compiler import EXPRESSIONS_PER_NODE
from models.rules.lint.lint import MAX_ERRORS, MAX_WARNINGS, lint
from models.serialization import Json

SECONDS = 8.0  # of the processor, on a machine that is busy; about one on a calm one
BODY = 1024 * 1024


def graph(*nodes: Mapping[str, Json], links: list[Mapping[str, Json]] | None = None) -> Json:
    return {"nodes": list(nodes), "connections": links or []}


def node(name: str, kind: str = "process", **config: Json) -> dict[str, Json]:
    return {"id": name, "type": kind, "config": config}


def chain(length: int) -> list[Mapping[str, Json]]:
    return [{"from": f"n{index}", "to": f"n{index + 1}"} for index in range(length - 1)]


def five_references_each() -> Json:
    said = [" ".join(f"{{{{ nodes.n{other}.output.x{index} }}}}" for other in range(5)) for index in range(3_900)]
    nodes = [node(f"n{index}", "ai_agent", prompt=prompt) for index, prompt in enumerate(said)]
    return graph(*nodes, links=chain(3_900))


def ten_thousand_cases() -> Json:
    cases = [{"name": f"c{index}", "condition": "true"} for index in range(10_000)]
    links = [{"from": "d", "to": "e", "fromPort": f"z{index % 100}"} for index in range(10_000)]
    return graph(node("d", "decision", cases=cases), node("e", "output"), links=links)


def one_list_of_expressions() -> Json:
    return graph(node("a", "api_call", url="https://x.example", body=[f"{{{{{number}}}}}" for number in range(75_000)]))


def one_endless_expression() -> Json:
    return graph(node("a", operation="map", expression="nodes.a1 + " * 80_000 + "1"))


def unknown_settings() -> Json:
    return graph(node("a", "api_call", **{f"methodurl{index}": 1 for index in range(50_000)}))


def unknown_references() -> Json:
    names = [f"node_number_{index}_with_a_long_id_xxxxxxxxxxxxxx" for index in range(3_900)]
    return graph(*(node(name, "ai_agent", prompt=f"{{{{ nodes.{name[:-1]}y.output }}}}") for name in names))


def twice_each() -> Json:
    return graph(*(node(f"n{index // 2}") for index in range(5_000)))


def tiny_values() -> Json:
    return graph(node("a", "loop", items=[{}] * 300_000))


def one_long_key_above_many() -> Json:
    return graph(node("a", "api_call", url="https://x.example", body={"k" * 500_000: [["x"]] * 80_000}))


@pytest.mark.parametrize(
    "make",
    [
        five_references_each,
        ten_thousand_cases,
        one_list_of_expressions,
        one_endless_expression,
        unknown_settings,
        unknown_references,
        twice_each,
        tiny_values,
        one_long_key_above_many,
    ],
)
def test_a_body_of_a_megabyte_is_judged_in_bounded_time(make: Any) -> None:
    said = orjson.dumps(make())
    assert len(said) <= BODY
    document = orjson.loads(said)
    before = time.thread_time()
    report = lint(document)
    assert time.thread_time() - before < SECONDS
    assert len(report.errors) <= MAX_ERRORS
    assert len(report.warnings) <= MAX_WARNINGS
    assert len(orjson.dumps([finding.message for finding in report.findings])) < 200_000


def test_a_small_graph_holds_fewer_expressions_than_a_large_one() -> None:
    said = [f"{{{{ input.x{index} }}}}" for index in range(EXPRESSIONS_PER_NODE + 1)]
    few = lint(graph(node("a", "output", value=said[:-1])))
    many = lint(graph(node("a", "output", value=said)))
    more_nodes = lint(graph(node("a", "output", value=said), node("b", "output", value=1)))
    assert few.errors == more_nodes.errors == ()
    assert [(error.code, error.field) for error in many.errors] == [("invalid_expression", "nodes.0.config.value.0")]


def test_the_same_text_counts_once_however_often_it_stands_there() -> None:
    assert lint(graph(node("a", "output", value=["{{ input.x }}"] * 2_000))).errors == ()
