"""What the linter finds, and that it finds nothing where nothing is wrong."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.rules.config import compile_config
from models.rules.graph import parse
from models.rules.lint import Severity, check_shape, lint
from models.rules.nodes import KINDS
from tests.rules.shapes import as_workflow, is_acyclic, shapes


def node(node_id, node_type="process", *, config=None, **more):
    config = {"expression": "data"} if config is None and node_type == "process" else config or {}
    return {"id": node_id, "type": node_type, "label": node_id, "position": {"x": 0, "y": 0}, "config": config, **more}


def link(source, target, port=None):
    found = {"id": f"{source}-{target}", "from": source, "to": target}
    return {**found, "fromPort": port} if port else found


def codes(nodes, links=(), severity=Severity.ERROR):
    report = lint({"nodes": list(nodes), "connections": list(links)})
    return {(finding.code, finding.field) for finding in report.findings if finding.severity is severity}


def messages(nodes, links=()):
    return " ".join(finding.message for finding in lint({"nodes": list(nodes), "connections": list(links)}).findings)


def test_a_sound_graph_has_no_findings():
    nodes = [node("a", "input"), node("b", config={"expression": "nodes.a.output.x"}), node("c", "output")]
    assert lint({"nodes": nodes, "connections": [link("a", "b"), link("b", "c")]}).findings == ()


@pytest.mark.parametrize(
    ("nodes", "links", "code", "field"),
    [
        ([], [], "no_entry", "nodes"),
        ([node("a"), node("a")], [], "duplicate_node", "nodes.1.id"),
        ([node("a", "proces")], [], "unknown_type", "nodes.0.type"),
        ([node("a", "subworkflow")], [], "missing_config", "nodes.0.config.workflowId"),
        ([node("a", "subworkflow", config={"workflowId": "mine"})], [], "config", "nodes.0.config.workflowId"),
        ([node("a", "subworkflow", config={"workflowId": "{{ input }}"})], [], "config", "nodes.0.config.workflowId"),
        ([node("a")], [link("a", "z")], "unknown_node", "connections.0.to"),
        ([node("a")], [link("z", "a")], "unknown_node", "connections.0.from"),
        ([node("a"), node("b")], [link("a", "b", "true")], "unknown_port", "connections.0.fromPort"),
        ([node("a"), node("b")], [link("a", "b", "error")], "unknown_port", "connections.0.fromPort"),
        ([node("a"), node("b")], [link("a", "b"), link("b", "a")], "cycle", "nodes.0"),
        ([node("a")], [link("a", "a")], "cycle", "nodes.0"),
        ([node("a", parentId="z")], [], "unknown_parent", "nodes.0.parentId"),
        ([node("a", parentId="b"), node("b")], [], "not_a_container", "nodes.0.parentId"),
        ([node("a", "loop", parentId="a")], [], "contains_itself", "nodes.0.parentId"),
        ([node("a", onError="ignore")], [], "invalid_policy", "nodes.0.onError"),
        ([node("a", timeout=0)], [], "invalid_policy", "nodes.0.timeout"),
        ([node("a", deadline=0)], [], "invalid_policy", "nodes.0.deadline"),
        ([node("a", deadline="soon")], [], "invalid_shape", "nodes.0.deadline"),
        ([node("a", retry={"maxAttempts": 11})], [], "invalid_policy", "nodes.0.retry.maxAttempts"),
        ([node("a", "api_call")], [], "missing_config", "nodes.0.config.url"),
        ([node("a", "api_call", config={"url": "ftp://x"})], [], "config", "nodes.0.config.url"),
        ([node("a", "decision", config={"cases": []})], [], "invalid_cases", "nodes.0.config.cases"),
        (
            [node("a", "decision", config={"cases": [{"name": "x", "condition": "true"}] * 2})],
            [],
            "invalid_cases",
            "nodes.0.config.cases.1.name",
        ),
        ([node("a", config={"expression": "1 +"})], [], "invalid_expression", "nodes.0.config.expression"),
        (
            [node("a", "api_call", config={"url": "https://x", "headers": {"X": "{{ foo }}"}})],
            [],
            "invalid_expression",
            "nodes.0.config.headers.X",
        ),
        ([node("a", config={"expression": "nodes.z.output"})], [], "unknown_reference", "nodes.0.config.expression"),
        ([node("a", config={"expression": "nodes.a.output"})], [], "not_upstream", "nodes.0.config.expression"),
        ([node("a", config={"expression": "item"})], [], "unknown_variable", "nodes.0.config.expression"),
        ([node("a", config={"expression": "accumulator"})], [], "unknown_variable", "nodes.0.config.expression"),
        ([node("a", config={"operation": "filter"})], [], "config", "nodes.0.config.expression"),
        ([node("a", config={"operation": "fly"})], [], "invalid_config", "nodes.0.config.operation"),
        ([node("a", "loop", config={"maxIterations": 0})], [], "invalid_config", "nodes.0.config.maxIterations"),
        ([node("a", "loop", config={"concurrency": 51})], [], "invalid_config", "nodes.0.config.concurrency"),
        ([node("a", "loop", config={"items": "input.x"})], [], "invalid_config", "nodes.0.config.items"),
    ],
)
def test_refuses(nodes, links, code, field):
    assert (code, field) in codes(nodes, links)


@pytest.mark.parametrize(
    ("nodes", "links", "code", "field"),
    [
        ([node("a", "decision")], [], "config", "nodes.0.config.condition"),
        (
            [node("a", config={"expression": "data", "expresion": "1"})],
            [],
            "unknown_config",
            "nodes.0.config.expresion",
        ),
        ([node("a", "ai_agent")], [], "config", "nodes.0.config.prompt"),
        ([node("a", "loop", config={"items": [1]})], [], "empty_loop", "nodes.0"),
        ([node("a"), node("b")], [], "unconnected", "nodes.1"),
        ([node("a", onError="branch"), node("b")], [link("a", "b", "error")], "", ""),
        (
            [node("a", "decision", config={"condition": "true"}), node("b")],
            [link("a", "b", "true")],
            "unconnected_port",
            "nodes.0",
        ),
        (
            [node("a", "decision", config={"condition": "true"}), node("b")],
            [link("a", "b")],
            "connection_without_port",
            "connections.0.fromPort",
        ),
        ([node("a"), node("b")], [link("a", "b"), link("a", "b")], "duplicate_connection", "connections.1"),
        (
            [
                node(
                    "a",
                    "api_call",
                    config={"url": "https://x", "headers": {"Authorization": "Bearer abcdefghijklmnopqrstuvwxyz"}},
                )
            ],
            [],
            "config",
            "nodes.0.config.headers.Authorization",
        ),
    ],
)
def test_warns(nodes, links, code, field):
    found = codes(nodes, links, Severity.WARNING)
    assert codes(nodes, links) == set()
    assert (code, field) in found if code else not found


def test_spells_a_cycle_out():
    nodes, links = [node("a"), node("b"), node("c")], [link("a", "b"), link("b", "c"), link("c", "a")]
    assert "a -> b -> c -> a" in messages(nodes, links)


def test_names_every_knot_of_cycles():
    pairs = [(f"a{i}", f"b{i}") for i in range(3)]
    nodes = [node(name) for pair in pairs for name in pair]
    links = [link(*pair) for pair in pairs] + [link(b, a) for a, b in pairs]
    assert len(codes(nodes, links)) == 3


def test_guesses_what_was_meant():
    assert "did you mean `process`" in messages([node("a", "proces")])
    assert "did you mean `prompt`" in messages([node("a", "ai_agent", config={"promt": "x"})])


LOOP = node("l", "loop", config={"items": [1, 2, 3]})


def test_a_connection_may_not_cross_the_border_of_a_loop():
    nodes = [LOOP, node("in", parentId="l"), node("out")]
    assert ("crosses_container", "connections.0") in codes(nodes, [link("in", "out")])


def test_children_read_what_came_before_their_loop_and_the_item():
    child = node("child", config={"expression": "nodes.a.output + item + index"}, parentId="l")
    assert codes([node("a"), LOOP, child], [link("a", "l")]) == set()


def test_nobody_outside_reads_a_child_of_a_loop():
    nodes = [LOOP, node("child", parentId="l"), node("b", config={"expression": "nodes.child.output"})]
    assert ("not_upstream", "nodes.2.config.expression") in codes(nodes, [link("l", "b")])


def nested(depth, most):
    loops = [
        node(
            f"l{i}", "loop", config={"items": "{{ input }}", "maxIterations": most}, parentId=f"l{i - 1}" if i else None
        )
        for i in range(depth)
    ]
    return [*loops, node("leaf", parentId=f"l{depth - 1}")]


def test_loops_nest_four_deep_and_no_deeper():
    assert codes(nested(4, 10)) == set()
    assert "nested_too_deeply" in {code for code, _ in codes(nested(5, 2))}


def test_nested_loops_run_their_children_ten_thousand_times_at_most():
    assert codes(nested(2, 100)) == set()
    assert "too_many_iterations" in {code for code, _ in codes(nested(2, 101))}


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], ""),
        ({"nodes": {}}, "nodes"),
        ({"nodes": [1]}, "nodes.0"),
        ({"nodes": [node("x" * 65)]}, "nodes.0.id"),
        ({"nodes": [node("")]}, "nodes.0.id"),
        ({"nodes": [node("a\nb")]}, "nodes.0.id"),
        ({"nodes": [node(3)]}, "nodes.0.id"),
        ({"nodes": [node("a", 3)]}, "nodes.0.type"),
        ({"nodes": [{**node("a"), "config": []}]}, "nodes.0.config"),
        ({"nodes": [{**node("a"), "position": {"x": "left"}}]}, "nodes.0.position"),
        ({"nodes": [node("a", config={"x": "a\x00b"})]}, "nodes.0.config.x"),
        ({"nodes": [node("a", config={"x": "\ud800"})]}, "nodes.0.config.x"),
        ({"nodes": [node("a", config={"x": float("nan")})]}, "nodes.0.config.x"),
        ({"nodes": [node("a")], "connections": [{"from": "a"}]}, "connections.0.to"),
        ({"nodes": [node("a")], "connections": [{"from": "a", "to": "b", "fromPort": 3}]}, "connections.0.fromPort"),
        ({"nodes": [node("a")] * 5001}, "nodes"),
    ],
)
def test_what_is_no_graph_at_all_is_refused_by_its_shape(document, field):
    assert field in {finding.field for finding in check_shape(document)}
    assert lint(document).errors


def test_a_document_nested_too_deeply_is_refused_by_its_shape():
    deep = []
    for _ in range(10_000):
        deep = [deep]
    assert {finding.code for finding in check_shape({"nodes": [node("a", config={"x": deep})]})} == {"too_deep"}


def test_unknown_extra_keys_are_nobodys_business():
    assert check_shape({"nodes": [node("a", colour="red")], "zoom": 2}) == ()


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


@given(DOCUMENT | ANY)
@settings(max_examples=150, deadline=None)
def test_judges_any_document_without_raising(document):
    report = lint(document)
    assert bool(check_shape(document)) <= bool(report.errors)
    assert report.worst_case >= Decimal(0)


@given(st.fixed_dictionaries({"nodes": st.lists(NODE, max_size=6), "connections": st.lists(CONNECTION, max_size=8)}))
@settings(max_examples=150, deadline=None)
def test_what_the_linter_accepts_compiles(document):
    if not lint(document).errors:
        graph = parse(document)
        for one in graph.nodes.values():
            compile_config(KINDS[one.type], one, frozenset(graph.nodes))


def test_real_graphs_are_clean_and_their_cost_is_known():
    acyclic = [shape for shape in shapes() if is_acyclic(shape)]
    if not acyclic:
        pytest.skip("the collection of shapes is not here")
    for shape in acyclic:
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
