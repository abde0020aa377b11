"""The differences between two graphs are exactly what has to be done to the first one."""

import copy

import pytest

from models.rules.graph.differences import FieldDifference, GraphDifference, differences

GRAPH = {
    "nodes": [
        {"id": "a", "type": "input", "label": "A", "position": {"x": 0, "y": 0}},
        {"id": "b", "type": "api_call", "label": "B", "config": {"url": "https://a.example", "headers": {"X": "1"}}},
    ],
    "connections": [{"id": "1", "from": "a", "to": "b"}],
}
NOTHING = GraphDifference((), (), (), (), (), ())


@pytest.fixture
def edited() -> dict:
    return copy.deepcopy(GRAPH)


def test_equal_graphs_have_none(edited):
    edited["connections"][0]["id"] = "another"  # drawn anew, between the same ends
    assert differences(GRAPH, edited) == NOTHING


def test_nodes_come_and_go(edited):
    new = {"id": "c", "type": "output"}
    edited["nodes"] = [edited["nodes"][0], new]
    edited["connections"] = [{"id": "2", "from": "a", "to": "c", "fromPort": "true"}]
    found = differences(GRAPH, edited)
    assert (found.added, found.removed) == ((new,), (GRAPH["nodes"][1],))
    assert (found.connected, found.disconnected) == (tuple(edited["connections"]), tuple(GRAPH["connections"]))
    back = differences(edited, GRAPH)
    assert (back.added, back.removed) == (found.removed, found.added)


def test_fields_are_named_by_their_paths(edited):
    edited["nodes"][1]["config"] = {"url": "https://b.example", "headers": {"X": "1", "Y": "2"}, "timeout": 5}
    edited["nodes"][1]["label"] = "Call"
    (changed,) = differences(GRAPH, edited).changed
    assert (changed.id, changed.label, changed.type) == ("b", "Call", "api_call")
    assert set(changed.fields) == {
        FieldDifference("label", "B", "Call"),
        FieldDifference("config.url", "https://a.example", "https://b.example"),
        FieldDifference("config.headers.Y", None, "2"),
        FieldDifference("config.timeout", None, 5),
    }


def test_a_node_that_stands_elsewhere_is_moved_and_not_changed(edited):
    edited["nodes"][0]["position"]["x"] = 50
    found = differences(GRAPH, edited)
    assert (found.moved, found.changed) == (("a",), ())


def test_true_is_not_one(edited):
    """As saving distinguishes them too."""
    edited["nodes"][1]["config"]["url"], before = True, copy.deepcopy(edited)
    before["nodes"][1]["config"]["url"] = 1
    assert differences(before, edited).changed
