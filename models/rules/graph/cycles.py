"""Finds the cyclic parts of a graph, with a shortest cycle in each."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from models.rules.graph.graph import Graph


class CyclicPart(NamedTuple):
    """Nodes that all wait for each other, directly or not, and a shortest cycle from the first of them."""

    members: tuple[str, ...]  # in the order of the document
    cycle: tuple[str, ...]  # each node waits for the one before it, and the first for the last


def find_order(graph: Graph) -> tuple[list[str], list[CyclicPart]]:
    """Node ids in topological order, and the cyclic parts among the other nodes."""
    waits = {node_id: len(graph.incoming.get(node_id, ())) for node_id in graph.nodes}
    order = [node_id for node_id, count in waits.items() if not count]
    for node_id in order:  # grows while it is read
        for connection in graph.outgoing.get(node_id, ()):
            waits[connection.target] -= 1
            if not waits[connection.target]:
                order.append(connection.target)
    done = set(order)
    left = {node_id: None for node_id in graph.nodes if node_id not in done}
    return order, _cyclic_parts(graph, left)


def _cyclic_parts(graph: Graph, left: Mapping[str, None]) -> list[CyclicPart]:
    following = {
        node_id: tuple(dict.fromkeys(c.target for c in graph.outgoing.get(node_id, ()) if c.target in left))
        for node_id in left
    }
    drawn = {node_id: index for index, node_id in enumerate(left)}
    parts = []
    for component in _components(following):
        members = tuple(sorted(component, key=drawn.__getitem__))
        if len(members) > 1 or members[0] in following[members[0]]:
            parts.append(CyclicPart(members, _shortest_cycle(members[0], following, set(members))))
    return sorted(parts, key=lambda part: drawn[part.members[0]])


def _components(following: Mapping[str, tuple[str, ...]]) -> Iterator[list[str]]:
    """Strongly connected components, by Tarjan's algorithm without recursion: graphs may be thousands of nodes deep."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: dict[str, None] = {}
    for root in following:
        path = [] if root in number else [(root, iter(following[root]))]
        while path:
            node_id, targets = path[-1]
            if node_id not in number:
                number[node_id] = lowest[node_id] = len(number)
                open_[node_id] = None
            target = next(targets, None)
            if target is None:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[node_id])
                if lowest[node_id] == number[node_id]:
                    yield list(_cycle_until(node_id, open_))
            elif target not in number:
                path.append((target, iter(following[target])))
            elif target in open_:
                lowest[node_id] = min(lowest[node_id], number[target])


def _cycle_until(node_id: str, open_: dict[str, None]) -> Iterator[str]:
    while True:
        taken, _ = open_.popitem()
        yield taken
        if taken == node_id:
            return


def _shortest_cycle(first: str, following: Mapping[str, tuple[str, ...]], members: set[str]) -> tuple[str, ...]:
    """The shortest cycle through `first`, by breadth-first search."""
    came_from: dict[str, str] = {}
    queue = deque([first])
    while first not in came_from:
        node_id = queue.popleft()
        for target in following[node_id]:
            if target in members and target not in came_from:
                came_from[target] = node_id
                queue.append(target)
    way = [came_from[first]]
    while way[-1] != first:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))
