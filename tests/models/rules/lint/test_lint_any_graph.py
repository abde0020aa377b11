"""The linter judges whatever it is given: any document, real graphs, and huge ones."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.rules.graph.config import compile_config
from models.rules.graph.graph import parse
from models.rules.lint.agents import agents_of
from models.rules.lint.lint import check_shape, lint
from models.rules.nodes import KINDS
from tests.models.rules.lint.test_lint import link, node
from tests.support.engine.graph_shapes import as_workflow, is_acyclic, shapes
from tests.support.thorough import examples, sample

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["a", "b", "loop"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


NAME = st.sampled_from(["a", "b", "c"])


TYPE = st.sampled_from(["input", "process", "decision", "api_call", "ai_agent", "output", "loop", "merge", "wait", "x"])


KEYS = st.sampled_from(
    [
        *("expression", "operation", "items", "while", "maxIterations", "cases", "condition", "url", "headers", "body"),
        *("method", "timeout", "retries", "provider", "prompt", "value", "mode", "default", "concurrency", "key"),
    ]
)


VALUE = ANY | st.sampled_from(
    ["{{ input.x }}", "{{", "nodes.a.output", "item", "filter", [{"name": "x", "condition": "1"}]]
)


NODE = st.fixed_dictionaries(
    {"id": NAME, "type": TYPE},
    optional={
        "config": st.dictionaries(KEYS, VALUE, max_size=4) | ANY,
        "parentId": NAME | ANY,
        "onError": st.sampled_from(["branch", "continue"]) | ANY,
        "retry": st.dictionaries(st.sampled_from(["maxAttempts", "backoff"]), ANY) | ANY,
        "timeout": ANY,
        "label": ANY,
    },
)


CONNECTION = st.fixed_dictionaries({"from": NAME, "to": NAME}, optional={"fromPort": NAME | ANY, "id": ANY})


DOCUMENT = st.fixed_dictionaries(
    {},
    optional={"nodes": st.lists(NODE | ANY, max_size=5) | ANY, "connections": st.lists(CONNECTION | ANY, max_size=5)},
)


@pytest.mark.thorough
@given(DOCUMENT | ANY)
@settings(max_examples=examples(150))
def test_judges_any_document_without_raising(document):
    report = lint(document)
    assert bool(check_shape(document)) <= bool(report.errors)
    assert report.worst_case >= Decimal(0)
    assert check_shape(document) or isinstance(agents_of(document), tuple)


@pytest.mark.thorough
@given(st.fixed_dictionaries({"nodes": st.lists(NODE, max_size=6), "connections": st.lists(CONNECTION, max_size=8)}))
@settings(max_examples=examples(150))
def test_what_the_linter_accepts_compiles(document):
    if not lint(document).errors:
        graph = parse(document)
        for one in graph.nodes.values():
            compile_config(KINDS[one.type], one, frozenset(graph.nodes))


@pytest.mark.thorough
def test_real_graphs_are_clean_and_their_cost_is_known():
    acyclic = [shape for shape in shapes() if is_acyclic(shape)]
    if not acyclic:
        pytest.skip("the collection of shapes is not here")
    for shape in sample(acyclic, 60):
        report = lint(as_workflow(shape))
        assert report.errors == (), shape["id"]
        assert report.worst_case_credits == Decimal(1) + len(shape["nodes"]) * Decimal("0.1")


def test_real_graphs_with_cycles_are_refused_for_their_cycles_alone():
    cyclic = [shape for shape in shapes() if not is_acyclic(shape)]
    for shape in cyclic:
        assert {finding.code for finding in lint(as_workflow(shape)).errors} == {"cycle"}


def chain(length):
    ids = [f"node-{index}" for index in range(length)]
    nodes = [node(ids[0])] + [
        node(after, config={"expression": f"nodes.{before}.output"}) for before, after in pairwise(ids)
    ]
    return {"nodes": nodes, "connections": [link(a, b) for a, b in pairwise(ids)]}


def test_a_chain_of_five_thousand_nodes_is_judged():
    assert lint(chain(5000)).findings == ()


def test_a_fan_of_a_thousand_nodes_is_judged():
    middle = [f"m{index}" for index in range(1000)]
    last = node("z", "merge")
    document = {
        "nodes": [node("a"), *map(node, middle), last],
        "connections": [link("a", m) for m in middle] + [link(m, "z") for m in middle],
    }
    assert lint(document).findings == ()


def test_a_hundred_wrong_references_are_enough():
    nodes = [node("a", "output", config={"value": [f"{{{{ nodes.x{index}.output }}}}" for index in range(300)]})]
    errors = lint({"nodes": nodes, "connections": []}).errors
    assert [finding.code for finding in errors] == ["unknown_reference"] * 100
