"""The static plan of a graph, shared by all its runs: in-degrees, leaves, and which node reads which result."""

from collections import Counter
from collections.abc import Iterable, Mapping

from models.rules.graph.graph import Graph

Reads = Mapping[str, frozenset[str] | None]  # by node: the nodes whose results its expressions read; None: any


class GraphPlan:
    """The plan of a graph. With `reads`, runs drop results that no node reads any more; without it they keep all."""

    def __init__(self, graph: Graph, joins_any: Iterable[str] = (), reads: Reads | None = None) -> None:
        self.graph = graph
        self.joins_any = frozenset(joins_any)
        self.members = graph.children
        self.waits = {node_id: len(graph.incoming.get(node_id, ())) for node_id in graph.nodes}
        self.leaves = {
            container: tuple(node_id for node_id in nodes if not graph.outgoing.get(node_id))
            for container, nodes in self.members.items()
        }
        self.iteration = graph.trial.iteration if graph.trial else None  # that the top level sees
        if graph.trial:
            self.leaves[None] = (graph.trial.node_id,)
        self.sources = _sources(graph, reads)
        self.readers = Counter(source for sources in self.sources.values() for source in sources)


def _sources(graph: Graph, reads: Reads | None) -> Mapping[str, tuple[str, ...]]:
    """By node: the nodes in its container whose results are needed until it ends, for itself and for its children.

    Results that belong to the final result of a run or an iteration are left out, because they are never dropped.
    """
    if reads is None or None in reads.values():
        return {}
    kept = {node_id for node_id, node in graph.nodes.items() if node.type == "output" or node_id not in graph.outgoing}
    needs: dict[str, dict[str, None]] = {}
    for reader in graph.nodes:
        sources = {connection.source for connection in graph.incoming.get(reader, ())} | (reads.get(reader) or set())
        for source in sorted(sources - kept):
            beside = _beside(graph, reader, source)
            if beside is not None:
                needs.setdefault(beside, {})[source] = None
    return {reader: tuple(sources) for reader, sources in needs.items()}


def _beside(graph: Graph, reader: str, source: str) -> str | None:
    """`reader`, or the loop around it that is in the same container as `source`; None if there is none."""
    if source not in graph.nodes:
        return None
    container, current = graph.nodes[source].parent_id, reader
    while (parent := graph.nodes[current].parent_id) != container:
        if parent is None:
            return None
        current = parent
    return current
