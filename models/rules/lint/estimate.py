"""The worst-case costs of runs, which are held before a run starts."""

from collections.abc import Collection, Mapping
from decimal import Decimal

from models.rules.graph.config import DEFAULT_ITERATIONS
from models.rules.graph.graph import Graph, Node
from models.rules.graph.kinds import NodeKind
from models.rules.nodes.loop import MAX_ITERATIONS
from models.rules.prices.pricing import CENT, CURRENT, PriceList


def iterations(loop: Node) -> int:
    """The most iterations of a loop: the number of its constant items, or its `maxIterations`."""
    items = loop.config.get("items")
    if isinstance(items, list) and loop.config.get("while") in (None, ""):
        return len(items)
    maximum = loop.config.get("maxIterations")
    if maximum is None or maximum == "":
        return DEFAULT_ITERATIONS
    try:
        return max(1, min(MAX_ITERATIONS, int(float(maximum))))
    except (TypeError, ValueError, OverflowError):
        return MAX_ITERATIONS  # computed at run time, where this is the limit


def runs(graph: Graph) -> dict[str, int]:
    """The most runs of each node by its id; containers must not contain themselves."""
    found: dict[str, int] = {}
    inside: dict[str, int] = {}  # by container: the most runs of its children
    for node in graph.nodes.values():
        chain = []
        parent = node.parent_id
        while parent is not None and parent not in inside:
            chain.append(parent)
            parent = graph.nodes[parent].parent_id
        times = inside[parent] if parent is not None else 1
        for container in reversed(chain):
            times *= iterations(graph.nodes[container])
            inside[container] = times
        found[node.id] = times
    return found


def least_run(
    graph: Graph, kinds: Mapping[str, NodeKind], prices: PriceList = CURRENT, done: Collection[str] = ()
) -> Decimal:
    """The fewest credits with which a run of `graph` can begin: its fee and its cheapest first node.

    Nodes in `done` do not run again; 0 if no other node can come first.
    """
    first = [
        node
        for node in graph.nodes.values()
        if node.parent_id is None
        and node.id not in done
        and node.type in kinds
        and all(connection.source in done for connection in graph.incoming.get(node.id, ()))
    ]
    costs = [prices.node(kinds[node.type].provider(node.config)) for node in first]
    return (prices.fee + min(costs)).quantize(CENT) if costs else Decimal("0.00")


def worst_case(graph: Graph, kinds: Mapping[str, NodeKind], prices: PriceList = CURRENT) -> Decimal:
    """The most credits that a run of `graph` costs; an empty graph costs nothing."""
    if not graph.nodes:
        return Decimal("0.00")
    times = runs(graph)
    nodes = (
        prices.node(kinds[node.type].provider(node.config)) * times[node.id]
        for node in graph.nodes.values()
        if node.type in kinds
    )
    return (prices.fee + sum(nodes, Decimal(0))).quantize(CENT)
