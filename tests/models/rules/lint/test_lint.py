"""Findings of the linter, and none for correct graphs."""

import pytest

from models.rules.lint.lint import Severity, check_shape, lint


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


def test_a_child_of_a_loop_cannot_be_read_outside():
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


def test_unknown_extra_keys_are_ignored():
    assert check_shape({"nodes": [node("a", colour="red")], "zoom": 2}) == ()
