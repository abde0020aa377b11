"""Which results of an ended run a new one may take over: those that would come out the same."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from models.rules.graph import Graph, Node
from models.rules.schedule import Step
from models.rules.states import NodeStatus

SETTLED = (NodeStatus.SUCCESS, NodeStatus.SKIPPED)


def reusable(graph: Graph, past: Mapping[Step, NodeStatus], was: Graph | None = None) -> set[Step]:
    """The steps that succeeded, are what they were, and whose every input, back to the roots, is taken over too.

    A node behind one that failed and was mended (`onError`) runs again, because its input may differ this time.

    Args:
        graph: what the new run will follow.
        past: how the ended run left its steps.
        was: the graph that the ended run followed, where that is another one.
    """
    return {step for step in _compare(graph, past, was).same if past[step] is NodeStatus.SUCCESS}


def begun_alike(graph: Graph, past: Mapping[Step, NodeStatus], was: Graph | None = None) -> set[Step]:
    """The steps, whatever became of them, that a new run would begin with the same config and the same input.

    Arguments are those of `reusable`.
    """
    return _compare(graph, past, was).alike


class _Comparison(NamedTuple):
    alike: set[Step]  # begin as they did
    same: set[Step]  # and ended well


def _compare(graph: Graph, past: Mapping[Step, NodeStatus], was: Graph | None) -> _Comparison:
    same = _unchanged(was or graph, graph)
    whole = _whole(was or graph, graph, same)
    unchanged = same & whole
    spoiled = _spoiled(graph, past)
    paths: dict[str, list[str]] = {}
    for step in past:
        paths.setdefault(step.node_id, []).append(step.path)
    found = _Comparison(set(), set())
    for node_id in _in_order(graph):
        for path in paths.get(node_id, ()) if node_id in unchanged else ():
            step = Step(node_id, path)
            if _follows_other_turns(graph, step, whole, spoiled):
                continue
            if all(source in found.same for source in _sources(graph, step)):
                found.alike.add(step)
                if past[step] in SETTLED and step not in spoiled:
                    found.same.add(step)
    return found


def _unchanged(was: Graph, graph: Graph) -> set[str]:
    """Nodes that compute the same from the same inputs, in loops that do the same."""
    if was is graph:
        return set(graph.nodes)
    alike = {
        node_id
        for node_id, node in graph.nodes.items()
        if node_id in was.nodes
        and _definition(node) == _definition(was.nodes[node_id])
        and _arrivals(graph, node_id) == _arrivals(was, node_id)
    }
    return {node_id for node_id in alike if all(loop in alike for loop, _ in _loops_around(graph, Step(node_id)))}


def _whole(was: Graph, graph: Graph, same: set[str]) -> set[str]:
    """Nodes without children, and loops that have the children that they had, each of them unchanged."""
    found = set()
    for node_id in _in_order(graph):  # children come before their loops
        children = graph.children.get(node_id, ())
        kept = set(children) == set(was.children.get(node_id, ()))
        if kept and all(child in same and child in found for child in children):
            found.add(node_id)
    return found


def _spoiled(graph: Graph, past: Mapping[Step, NodeStatus]) -> dict[Step, int]:
    """Loops in which something did not come to a good end, and in which iteration for the first time."""
    first: dict[Step, int] = {}
    for step, status in past.items():
        if status not in SETTLED and step.node_id in graph.nodes:
            for node_id, path in _loops_around(graph, step):
                loop = Step(node_id, path.rpartition(".")[0])
                index = int(path.rpartition(".")[2] or 0)
                first[loop] = min(first.get(loop, index), index)
    return first


def _follows_other_turns(graph: Graph, step: Step, whole: set[str], spoiled: Mapping[Step, int]) -> bool:
    """Whether the iteration before, of a `while` loop, may give another result: this one began with that."""
    for node_id, path in _loops_around(graph, step):
        if graph.nodes[node_id].config.get("while") in (None, ""):
            continue
        index = int(path.rpartition(".")[2] or 0)
        other = spoiled.get(Step(node_id, path.rpartition(".")[0]), index)
        if index and (node_id not in whole or other < index):
            return True
    return False


def _definition(node: Node) -> tuple[str, str | None, str]:
    """What a node's result depends on besides its inputs; the text tells 1, 1.0 and true apart."""
    config: Mapping[str, Any] = node.config
    return node.type, node.parent_id, json.dumps(config, sort_keys=True, default=str)


def _arrivals(graph: Graph, node_id: str) -> set[tuple[str, str | None]]:
    return {(connection.source, connection.port) for connection in graph.incoming.get(node_id, ())}


def _loops_around(graph: Graph, step: Step) -> Iterator[tuple[str, str]]:
    """The loops that a step runs in, from the inside out, each with the path of the iteration."""
    path, node_id = step.path, graph.nodes[step.node_id].parent_id
    while node_id is not None:
        yield node_id, path
        path, node_id = path.rpartition(".")[0], graph.nodes[node_id].parent_id


def _sources(graph: Graph, step: Step) -> Iterator[Step]:
    """What a step's input is made of: the steps before it, and before the loops around it."""
    node_id: str | None = step.node_id
    path = step.path
    while node_id is not None:
        yield from (Step(connection.source, path) for connection in graph.incoming.get(node_id, ()))
        node_id = graph.nodes[node_id].parent_id
        path = path.rpartition(".")[0]


def _in_order(graph: Graph) -> Iterator[str]:
    """Node ids, each after all that its input is made of, and loops after their children."""
    waits = {node_id: {source.node_id for source in _sources(graph, Step(node_id))} for node_id in graph.nodes}
    for node_id in graph.nodes:
        waits[node_id].update(graph.children.get(node_id, ()))
    following: dict[str, list[str]] = {}
    for node_id, sources in waits.items():
        for source in sources:
            following.setdefault(source, []).append(node_id)
    left = {node_id: len(sources) for node_id, sources in waits.items()}
    free = [node_id for node_id, count in left.items() if not count]
    for node_id in free:
        yield node_id
        for later in following.get(node_id, ()):
            left[later] -= 1
            if not left[later]:
                free.append(later)
