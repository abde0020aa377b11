"""Determines the results of an ended run that a new one may reuse: those that would be the same again."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from models.rules.executions.schedule import Step
from models.rules.executions.states import NodeStatus
from models.rules.graph.graph import Graph, Node

SETTLED = (NodeStatus.SUCCESS, NodeStatus.SKIPPED)


def reusable(graph: Graph, past: Mapping[Step, NodeStatus], was: Graph | None = None) -> set[Step]:
    """The steps that succeeded, are unchanged, and whose inputs, back to the roots, are all reused too.

    A node behind one that failed and was handled by `onError` runs again, because its input may differ this time.

    Args:
        graph: the graph of the new run.
        past: the status of each step of the ended run.
        was: the graph of the ended run, if it is another one.
    """
    return {step for step in _compare(graph, past, was).same if past[step] is NodeStatus.SUCCESS}


def begun_alike(graph: Graph, past: Mapping[Step, NodeStatus], was: Graph | None = None) -> set[Step]:
    """The steps, whatever their status, that a new run would begin with the same config and the same input.

    Arguments are those of `reusable`.
    """
    return _compare(graph, past, was).alike


class _Comparison(NamedTuple):
    alike: set[Step]  # begin with the same config and input
    same: set[Step]  # of these, the ones that succeeded or were skipped


def _compare(graph: Graph, past: Mapping[Step, NodeStatus], was: Graph | None) -> _Comparison:
    same = _unchanged(was or graph, graph)
    whole = _complete(was or graph, graph, same)
    unchanged = same & whole
    spoiled = _spoiled(graph, past)
    paths: dict[str, list[str]] = {}
    for step in past:
        paths.setdefault(step.node_id, []).append(step.path)
    found = _Comparison(set(), set())
    for node_id in _in_order(graph):
        for path in paths.get(node_id, ()) if node_id in unchanged else ():
            step = Step(node_id, path)
            if _follows_other_iterations(graph, step, whole, spoiled):
                continue
            if all(source in found.same for source in _sources(graph, step)):
                found.alike.add(step)
                if past[step] in SETTLED and step not in spoiled:
                    found.same.add(step)
    return found


def _unchanged(was: Graph, graph: Graph) -> set[str]:
    """Nodes with the same definition and connections, in loops with the same."""
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


def _complete(was: Graph, graph: Graph, same: set[str]) -> set[str]:
    """Nodes without children, and loops with the same children, each of them unchanged."""
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


def _follows_other_iterations(graph: Graph, step: Step, whole: set[str], spoiled: Mapping[Step, int]) -> bool:
    """Whether an earlier iteration of a `while` loop, with whose result this one began, may give another result."""
    for node_id, path in _loops_around(graph, step):
        if graph.nodes[node_id].config.get("while") in (None, ""):
            continue
        index = int(path.rpartition(".")[2] or 0)
        other = spoiled.get(Step(node_id, path.rpartition(".")[0]), index)
        if index and (node_id not in whole or other < index):
            return True
    return False


def _definition(node: Node) -> tuple[str, str | None, str]:
    """The parts of a node on which its result depends besides its inputs; as text, 1, 1.0 and true differ."""
    config: Mapping[str, Any] = node.config
    return node.type, node.parent_id, json.dumps(config, sort_keys=True, default=str)


def _arrivals(graph: Graph, node_id: str) -> set[tuple[str, str | None]]:
    return {(connection.source, connection.port) for connection in graph.incoming.get(node_id, ())}


def _loops_around(graph: Graph, step: Step) -> Iterator[tuple[str, str]]:
    """The loops around a step, from the inside out, each with the path of the iteration."""
    path, node_id = step.path, graph.nodes[step.node_id].parent_id
    while node_id is not None:
        yield node_id, path
        path, node_id = path.rpartition(".")[0], graph.nodes[node_id].parent_id


def _sources(graph: Graph, step: Step) -> Iterator[Step]:
    """The steps that a step's input comes from: those before it, and before the loops around it."""
    node_id: str | None = step.node_id
    path = step.path
    while node_id is not None:
        yield from (Step(connection.source, path) for connection in graph.incoming.get(node_id, ()))
        node_id = graph.nodes[node_id].parent_id
        path = path.rpartition(".")[0]


def _in_order(graph: Graph) -> Iterator[str]:
    """Node ids in topological order, and loops after their children."""
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
