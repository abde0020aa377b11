"""How nodes, connections and containers must fit together."""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from models.rules.estimate import runs
from models.rules.findings import Finding, error, warning
from models.rules.graph import ERROR_PORT, Connection, Graph, Node
from models.rules.kinds import NodeKind

Json = Any
MAX_NESTING = 4
MAX_RUNS = 10_000  # of one node in one run
LONGEST_CYCLE_SHOWN = 20


@dataclass(frozen=True)
class Draft:
    """A graph under the linter, with where each of its parts stands in the document."""

    graph: Graph
    kinds: Mapping[str, NodeKind]
    places: Mapping[str, str]  # by node id, such as `nodes.3`

    def kind(self, node_id: str) -> NodeKind | None:
        """The kind of a node, unless its type is unknown."""
        return self.kinds.get(self.graph.nodes[node_id].type)

    def ports(self, node: Node) -> tuple[str, ...]:
        """The ports that a node offers."""
        kind = self.kinds.get(node.type)
        offered = kind.ports(node.config) if kind else ()
        return (*offered, ERROR_PORT) if node.on_error == "branch" else offered


def check_nodes(draft: Draft, ids: list[str]) -> Iterator[Finding]:
    """An entry, unique ids, known types; `ids` in the order of the document, repeated ones too."""
    if not ids:
        yield error("no_entry", "nodes", "The graph has no nodes, so there is nothing to begin with.")
    for node_id, count in Counter(ids).items():
        if count > 1:
            places = [f"nodes.{index}.id" for index, other in enumerate(ids) if other == node_id]
            yield error("duplicate_node", places[1], f"{count} nodes have the id `{node_id}`.", node_id=node_id)
    for node in draft.graph.nodes.values():
        if node.type in draft.kinds:
            continue
        where = f"{draft.places[node.id]}.type"
        near = difflib.get_close_matches(node.type, draft.kinds, 1)
        hint = f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(sorted(draft.kinds))}."
        yield error("unknown_type", where, f"There is no node type `{node.type}`{hint}", node_id=node.id)


def check_connections(draft: Draft, connections: tuple[Connection, ...]) -> Iterator[Finding]:
    """Ends that exist, ports that are offered, no border of a container crossed."""
    nodes, seen = draft.graph.nodes, set()
    for index, connection in enumerate(connections):
        where = f"connections.{index}"
        missing = False
        for name, end in (("from", connection.source), ("to", connection.target)):
            if end not in nodes:
                missing = True
                message = f"This connection leads {name} `{end}`, and there is no such node."
                yield error("unknown_node", f"{where}.{name}", message, connection_id=connection.id)
        if missing:
            continue
        yield from _check_connection(draft, connection, where)
        same = (connection.source, connection.target, connection.port)
        if same in seen:
            message = f"`{connection.source}` and `{connection.target}` are connected twice in the same way."
            yield warning("duplicate_connection", where, message, connection_id=connection.id)
        seen.add(same)


def _check_connection(draft: Draft, connection: Connection, where: str) -> Iterator[Finding]:
    source, target = draft.graph.nodes[connection.source], draft.graph.nodes[connection.target]
    if source.parent_id != target.parent_id:
        message = f"`{source.id}` and `{target.id}` are not in the same loop, so they cannot be connected."
        yield error("crosses_container", where, message, connection_id=connection.id)
    offered, kind = draft.ports(source), draft.kinds.get(source.type)
    if connection.port is not None and kind and connection.port not in offered:
        has = f"its ports are {', '.join(offered)}" if offered else "it has no ports"
        message = f"`{source.id}` has no port `{connection.port}`; {has}."
        yield error("unknown_port", f"{where}.fromPort", message, connection_id=connection.id)
    if connection.port is None and kind and kind.ports(source.config):
        message = f"This connection is taken whatever `{source.id}` decides; set `fromPort` to a port of it."
        yield warning("connection_without_port", f"{where}.fromPort", message, connection_id=connection.id)


def check_ports(draft: Draft) -> Iterator[Finding]:
    """Ports without a connection, and nodes that nothing is connected to."""
    graph = draft.graph
    for node in graph.nodes.values():
        where, outgoing = draft.places[node.id], graph.outgoing.get(node.id, ())
        taken = {connection.port for connection in outgoing}
        for port in draft.ports(node):
            if port not in taken and None not in taken:
                message = f"Nothing is connected to the port `{port}`, so the way ends there."
                yield warning("unconnected_port", where, message, node_id=node.id)
        alone = not outgoing and node.id not in graph.incoming
        siblings = len(graph.children.get(node.parent_id, ()))
        if alone and siblings > 1:
            yield warning("unconnected", where, "Nothing is connected to this node.", node_id=node.id)


def check_containers(draft: Draft) -> Iterator[Finding]:
    """Parents that are loops, nested not too deeply, with a bounded number of runs; says what is empty."""
    nodes, sound = draft.graph.nodes, True
    for node in nodes.values():
        for finding in _check_parent(draft, node):
            sound = False
            yield finding
        kind = draft.kinds.get(node.type)
        if kind and kind.container and node.id not in draft.graph.children:
            message = "This loop has no children; give nodes its id as `parentId`."
            yield warning("empty_loop", draft.places[node.id], message, node_id=node.id)
    if not sound:
        return
    times = runs(draft.graph)
    for parent, children in draft.graph.children.items():
        if parent is not None and times[children[0]] > MAX_RUNS:
            message = f"Its children may run {times[children[0]]:,} times; at most {MAX_RUNS:,} are allowed."
            where = f"{draft.places[parent]}.config.maxIterations"
            yield error("too_many_iterations", where, message, node_id=parent)


def _check_parent(draft: Draft, node: Node) -> Iterator[Finding]:
    nodes, where = draft.graph.nodes, f"{draft.places[node.id]}.parentId"
    if node.parent_id is None:
        return
    if node.parent_id not in nodes:
        yield error("unknown_parent", where, f"There is no node `{node.parent_id}`.", node_id=node.id)
        return
    kind = draft.kind(node.parent_id)
    if kind is None or not kind.container:
        yield error("not_a_container", where, f"`{node.parent_id}` is no loop.", node_id=node.id)
        return
    depth = 0
    parent: str | None = node.parent_id
    while parent is not None and parent in nodes and depth <= MAX_NESTING:
        depth, parent = depth + 1, nodes[parent].parent_id
        if parent == node.id:
            yield error("contains_itself", where, f"`{node.id}` contains itself.", node_id=node.id)
            return
    if depth > MAX_NESTING:
        yield error("nested_too_deeply", where, f"Loops may be nested {MAX_NESTING} deep.", node_id=node.id)


def find_order(graph: Graph) -> tuple[list[str], list[list[str]]]:
    """Node ids so that each comes after those it waits for, and one cycle of each knot among the others."""
    waits = {node_id: len(graph.incoming.get(node_id, ())) for node_id in graph.nodes}
    order = [node_id for node_id, count in waits.items() if not count]
    for node_id in order:  # grows while it is read
        for connection in graph.outgoing.get(node_id, ()):
            waits[connection.target] -= 1
            if not waits[connection.target]:
                order.append(connection.target)
    done = set(order)
    return order, list(_cycles(graph, {n: None for n in graph.nodes if n not in done}))


def _cycles(graph: Graph, left: dict[str, None]) -> Iterator[list[str]]:
    """Walk backwards from each node of a knot: every one waits for another of them, so the walk meets itself."""
    walked: set[str] = set()
    for node_id in left:
        path: dict[str, None] = {}
        while node_id not in walked:
            walked.add(node_id)
            path[node_id] = None
            node_id = next(c.source for c in graph.incoming[node_id] if c.source in left)
        if node_id in path:
            names = list(path)
            yield names[names.index(node_id) :][::-1]


def check_cycles(draft: Draft, cycles: list[list[str]]) -> Iterator[Finding]:
    """Each cycle spelled out."""
    drawn = {node_id: index for index, node_id in enumerate(draft.graph.nodes)}
    for cycle in cycles:
        first = cycle.index(min(cycle, key=drawn.__getitem__))
        names = [*cycle[first:], *cycle[:first], cycle[first]]
        if len(names) > LONGEST_CYCLE_SHOWN:
            names = [*names[: LONGEST_CYCLE_SHOWN // 2], "...", *names[-LONGEST_CYCLE_SHOWN // 2 :]]
        message = f"These nodes wait for each other: {' -> '.join(names)}. To repeat nodes, put them into a loop."
        yield error("cycle", draft.places[cycle[first]], message, node_id=cycle[first])
