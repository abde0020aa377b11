"""Lints the structure of a graph: nodes, connections, containers and cycles."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from models.rules.graph.cycles import CyclicPart
from models.rules.graph.findings import Finding, Hints, error, warning
from models.rules.graph.graph import ERROR_PORT, Graph, Node, NodeConnection
from models.rules.graph.kinds import NodeKind
from models.rules.lint.estimate import runs

MAX_NESTING = 4
MAX_RUNS = 10_000  # of one node in one run
MAX_NAMES_SHOWN = 20
MAX_PORTS_SHOWN = 20


@dataclass(frozen=True)
class Draft:
    """A graph that is being linted, with the locations of its nodes in the document."""

    graph: Graph
    kinds: Mapping[str, NodeKind]
    locations: Mapping[str, str]  # by node id, such as `nodes.3`
    hints: Hints = field(default_factory=Hints)
    _ports: dict[str, tuple[tuple[str, ...], frozenset[str]]] = field(default_factory=dict)

    def kind(self, node_id: str) -> NodeKind | None:
        """The kind of a node; None if its type is unknown."""
        return self.kinds.get(self.graph.nodes[node_id].type)

    def ports(self, node: Node) -> tuple[str, ...]:
        """The ports that a node offers."""
        return self._offered(node)[0]

    def has_port(self, node: Node, port: str) -> bool:
        """Whether a node offers this port."""
        return port in self._offered(node)[1]

    def _offered(self, node: Node) -> tuple[tuple[str, ...], frozenset[str]]:
        known = self._ports.get(node.id)
        if known is None:
            kind = self.kinds.get(node.type)
            offered = kind.ports(node.config) if kind else ()
            offered = (*offered, ERROR_PORT) if node.on_error == "branch" else offered
            known = self._ports[node.id] = offered, frozenset(offered)
        return known


def check_nodes(draft: Draft, ids: list[str]) -> Iterator[Finding]:
    """Check that there are nodes, with unique ids and known types; `ids` are all ids in the order of the document."""
    if not ids:
        yield error("no_entry", "nodes", "The graph has no nodes; it needs at least one.")
    locations: dict[str, list[int]] = {}
    for index, node_id in enumerate(ids):
        locations.setdefault(node_id, []).append(index)
    for node_id, found in locations.items():
        if len(found) > 1:
            message = f"{len(found)} nodes have the id `{node_id}`."
            yield error("duplicate_node", f"nodes.{found[1]}.id", message, node_id=node_id)
    for node in draft.graph.nodes.values():
        if node.type in draft.kinds:
            continue
        where = f"{draft.locations[node.id]}.type"
        near = draft.hints.nearest(node.type, draft.kinds)
        hint = f"; did you mean `{near}`?" if near else f"; there are {', '.join(sorted(draft.kinds))}."
        yield error("unknown_type", where, f"There is no node type `{node.type}`{hint}", node_id=node.id)


def check_connections(draft: Draft, connections: tuple[NodeConnection, ...]) -> Iterator[Finding]:
    """Check that connections have existing ends and ports, and do not cross the border of a container."""
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


def _check_connection(draft: Draft, connection: NodeConnection, where: str) -> Iterator[Finding]:
    source, target = draft.graph.nodes[connection.source], draft.graph.nodes[connection.target]
    if source.parent_id != target.parent_id:
        message = f"`{source.id}` and `{target.id}` are not in the same loop, so they cannot be connected."
        yield error("crosses_container", where, message, connection_id=connection.id)
    offered, kind = draft.ports(source), draft.kinds.get(source.type)
    if connection.port is not None and kind and not draft.has_port(source, connection.port):
        shown = [*offered[:MAX_PORTS_SHOWN], *(["..."] if len(offered) > MAX_PORTS_SHOWN else [])]
        has = f"its ports are {', '.join(shown)}" if offered else "it has no ports"
        message = f"`{source.id}` has no port `{connection.port}`; {has}."
        yield error("unknown_port", f"{where}.fromPort", message, connection_id=connection.id)
    if connection.port is None and any(port != ERROR_PORT for port in offered):
        message = f"This connection is taken whatever `{source.id}` decides; set `fromPort` to a port of it."
        yield warning("connection_without_port", f"{where}.fromPort", message, connection_id=connection.id)


def check_ports(draft: Draft) -> Iterator[Finding]:
    """Find ports and nodes without a connection."""
    graph = draft.graph
    for node in graph.nodes.values():
        where, outgoing = draft.locations[node.id], graph.outgoing.get(node.id, ())
        taken = {connection.port for connection in outgoing}
        for port in draft.ports(node):
            if port not in taken and None not in taken:
                message = f"Nothing is connected to the port `{port}`, so this path ends there."
                yield warning("unconnected_port", where, message, node_id=node.id)
        alone = not outgoing and node.id not in graph.incoming
        siblings = len(graph.children.get(node.parent_id, ()))
        if alone and siblings > 1:
            yield warning("unconnected", where, "Nothing is connected to this node.", node_id=node.id)


def check_containers(draft: Draft) -> Iterator[Finding]:
    """Check that parents are loops, not nested too deeply, with a limited number of runs; find empty loops."""
    nodes, is_valid = draft.graph.nodes, True
    for node in nodes.values():
        for finding in _check_parent(draft, node):
            is_valid = False
            yield finding
        kind = draft.kinds.get(node.type)
        if kind and kind.container and node.id not in draft.graph.children:
            message = "This loop has no children; give nodes its id as `parentId`."
            yield warning("empty_loop", draft.locations[node.id], message, node_id=node.id)
    if not is_valid:
        return
    times = runs(draft.graph)
    for parent, children in draft.graph.children.items():
        if parent is not None and times[children[0]] > MAX_RUNS:
            message = f"Its children may run {times[children[0]]:,} times; at most {MAX_RUNS:,} are allowed."
            where = f"{draft.locations[parent]}.config.maxIterations"
            yield error("too_many_iterations", where, message, node_id=parent)


def _check_parent(draft: Draft, node: Node) -> Iterator[Finding]:
    nodes, where = draft.graph.nodes, f"{draft.locations[node.id]}.parentId"
    if node.parent_id is None:
        return
    if node.parent_id not in nodes:
        yield error("unknown_parent", where, f"There is no node `{node.parent_id}`.", node_id=node.id)
        return
    kind = draft.kind(node.parent_id)
    if kind is None or not kind.container:
        yield error("not_a_container", where, f"`{node.parent_id}` is not a loop.", node_id=node.id)
        return
    depth = 0
    parent: str | None = node.parent_id
    while parent is not None and parent in nodes and depth <= MAX_NESTING:
        depth, parent = depth + 1, nodes[parent].parent_id
        if parent == node.id:
            yield error("contains_itself", where, f"`{node.id}` contains itself.", node_id=node.id)
            return
    if depth > MAX_NESTING:
        yield error("nested_too_deeply", where, f"Loops may be nested at most {MAX_NESTING} deep.", node_id=node.id)


def check_cycles(draft: Draft, parts: list[CyclicPart]) -> Iterator[Finding]:
    """Report each cyclic part with a cycle of it, and its other nodes."""
    labels = Counter(node.label for node in draft.graph.nodes.values())
    for part in parts:
        path = " -> ".join(_names(draft, [*part.cycle, part.cycle[0]], labels))
        cycle = set(part.cycle)
        others = ", ".join(_names(draft, [node_id for node_id in part.members if node_id not in cycle], labels))
        also = f" Part of it: {others}." if others else ""
        message = f"These nodes wait for each other: {path}.{also} To repeat nodes, put them into a loop."
        yield error("cycle", draft.locations[part.members[0]], message, node_id=part.members[0])


def _names(draft: Draft, node_ids: list[str], labels: Counter[str]) -> list[str]:
    """The labels of nodes, with their ids if a label is not unique; of many nodes, only the first and last ones."""
    nodes = [draft.graph.nodes[node_id] for node_id in node_ids]
    names = [f"{node.label} ({node.id})" if labels[node.label] > 1 else node.label for node in nodes]
    if len(names) <= MAX_NAMES_SHOWN:
        return names
    return [*names[: MAX_NAMES_SHOWN // 2], "...", *names[-MAX_NAMES_SHOWN // 2 :]]


def check_inputs(draft: Draft) -> Iterator[Finding]:
    """Find input nodes with incoming connections, whose data they drop."""
    for node in draft.graph.nodes.values():
        if node.type == "input" and node.id in draft.graph.incoming:
            message = (
                f"`{node.label}` passes on the run's input and drops the data from the nodes before it; to pass that "
                "data on, connect past it."
            )
            yield warning("input_drops_data", draft.locations[node.id], message, node_id=node.id)
