"""Every cyclic part of a graph is found, once, with a way around in it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from models.rules.graph.cycles import find_order
from models.rules.graph.graph import parse
from models.rules.lint.lint import lint
from tests.models.rules.lint.test_lint import link, messages, node


def graph(number, pairs):
    names = [f"n{index}" for index in range(number)]
    links = [link(names[a % number], names[b % number]) for a, b in pairs]
    return parse({"nodes": [node(name) for name in names], "connections": links})


def reachable(graph, start):
    found, queue = set(), [start]
    while queue:
        for connection in graph.outgoing.get(queue.pop(), ()):
            if connection.target not in found:
                found.add(connection.target)
                queue.append(connection.target)
    return found


@given(st.integers(1, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30))
def test_cyclic_parts_are_the_nodes_that_reach_each_other(number, pairs):
    drawn = graph(number, pairs)
    order, parts = find_order(drawn)
    reach = {node_id: reachable(drawn, node_id) for node_id in drawn.nodes}
    expected = {
        frozenset(other for other in drawn.nodes if other in reach[node_id] and node_id in reach[other])
        for node_id in drawn.nodes
        if node_id in reach[node_id]
    }
    assert {frozenset(part.members) for part in parts} == expected
    assert len(parts) == len(expected)
    connected = {(connection.source, connection.target) for connection in drawn.connections}
    for part in parts:
        assert set(pairwise([*part.cycle, part.cycle[0]])) <= connected
        assert set(part.cycle) <= set(part.members)
    assert not set(order) & {member for part in parts for member in part.members}


def test_a_cyclic_part_behind_another_one_is_named_too():
    nodes = [node(name) for name in "abcd"]
    links = [link("a", "b"), link("b", "a"), link("b", "c"), link("c", "d"), link("d", "c")]
    said = [finding.message for finding in lint({"nodes": nodes, "connections": links}).errors]
    assert [sentence.partition(".")[0] for sentence in said] == [
        "These nodes wait for each other: a -> b -> a",
        "These nodes wait for each other: c -> d -> c",
    ]


def test_a_cycle_is_described_by_labels_or_by_ids_if_ambiguous():
    nodes = [
        node("1") | {"label": "Fetch"},
        node("2") | {"label": "Send"},
        node("3") | {"label": "Send"},
        node("4") | {"label": "Log"},
    ]
    links = [link("1", "2"), link("2", "1"), link("2", "3"), link("3", "4"), link("4", "2")]
    said = messages(nodes, links)
    assert "Fetch -> Send (2) -> Fetch. Part of it: Send (3), Log." in said


def test_a_cycle_of_thousands_of_nodes_is_abridged():
    names = [f"n{index}" for index in range(5_000)]
    links = [link(a, b) for a, b in pairwise([*names, names[0]])]
    (finding,) = lint(
        {"nodes": [node(name, config={"expression": "1"}) for name in names], "connections": links}
    ).errors
    assert finding.message.count("->") == 20
    assert len(finding.message) < 400


def test_an_input_in_mid_graph_drops_what_comes_in():
    nodes = [node("a"), node("i", "input") | {"label": "Address"}, node("first", "input")]
    found = lint({"nodes": nodes, "connections": [link("a", "i"), link("first", "a")]}).warnings
    assert [(finding.code, finding.node_id) for finding in found] == [("input_drops_data", "i")]
    assert "`Address` passes on the run's input and drops the data" in found[0].message
