"""What a run may cost at most: the sum that is held before it starts."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from models.rules.config import DEFAULT_ITERATIONS
from models.rules.graph import Graph, Node
from models.rules.kinds import NodeKind
from models.rules.nodes.loop import MAX_ITERATIONS
from models.rules.pricing import CENT, CURRENT, PriceList

Json = Any


def iterations(loop: Node) -> int:
    """How often a loop runs its children at most: as many as the items written out, or its `maxIterations`."""
    items = loop.config.get("items")
    if isinstance(items, list) and loop.config.get("while") in (None, ""):
        return len(items)
    most = loop.config.get("maxIterations")
    if most is None or most == "":
        return DEFAULT_ITERATIONS
    try:
        return max(1, min(MAX_ITERATIONS, int(float(most))))
    except (TypeError, ValueError, OverflowError):
        return MAX_ITERATIONS  # computed at run time, where this is the limit


def runs(graph: Graph) -> dict[str, int]:
    """How often each node runs at most; containers must not contain themselves."""
    found: dict[str, int] = {}
    inside: dict[str, int] = {}  # by container: how often its children run
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


def worst_case(graph: Graph, kinds: Mapping[str, NodeKind], prices: PriceList = CURRENT) -> Decimal:
    """Credits that a run of `graph` costs at most; `kinds` by type. Nothing runs, nothing is charged."""
    if not graph.nodes:
        return Decimal("0.00")
    times = runs(graph)
    nodes = (
        prices.node(kinds[node.type].provider(node.config)) * times[node.id]
        for node in graph.nodes.values()
        if node.type in kinds
    )
    return (prices.fee + sum(nodes, Decimal(0))).quantize(CENT)
