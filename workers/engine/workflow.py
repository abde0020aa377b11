"""A workflow version made ready to run: parsed, planned and compiled once, then shared by all its runs."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock
from typing import Any
from uuid import UUID

from models.rules.config import CompiledConfig, compile_config
from models.rules.graph import Graph, parse
from models.rules.kinds import NodeKind
from models.rules.nodes import KINDS
from models.rules.pricing import PriceList
from models.rules.schedule import Plan
from models.rules.subworkflows import TYPE as SUBWORKFLOW

Json = Any
Key = tuple[UUID, str]  # version and name of a price list

KEPT_VERSIONS = 256


@dataclass(frozen=True)
class Workflow:
    """Immutable, so drivers in many threads share it."""

    graph: Graph
    plan: Plan
    kinds: Mapping[str, NodeKind]  # by node id
    configs: Mapping[str, CompiledConfig]  # by node id
    price_list: PriceList
    prices: Mapping[str, Decimal]  # credits of one finished run of each node, by that list
    callers: frozenset[str]  # ids of the nodes that run other workflows


def compile_workflow(document: Mapping[str, Json], price_list: PriceList) -> Workflow:
    """Prepare `{nodes, connections}` that the linter accepted, for runs that are paid by `price_list`."""
    graph = parse(document)
    ids = frozenset(graph.nodes)
    kinds = {node_id: KINDS[node.type] for node_id, node in graph.nodes.items()}
    return Workflow(
        graph=graph,
        plan=Plan(graph, (n for n, node in graph.nodes.items() if kinds[n].joins_any(node.config))),
        kinds=kinds,
        configs={node_id: compile_config(kinds[node_id], node, ids) for node_id, node in graph.nodes.items()},
        price_list=price_list,
        prices={
            node_id: price_list.node(kinds[node_id].provider(node.config)) for node_id, node in graph.nodes.items()
        },
        callers=frozenset(node_id for node_id, node in graph.nodes.items() if node.type == SUBWORKFLOW),
    )


class WorkflowCache:
    """The versions that this process ran last, by version and price list. Thread-safe; neither ever changes."""

    def __init__(self, size: int = KEPT_VERSIONS) -> None:
        self._size = size
        self._kept: OrderedDict[Key, Workflow] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Workflow | None:
        """The compiled version, if it is still kept."""
        with self._lock:
            workflow = self._kept.get(key)
            if workflow:
                self._kept.move_to_end(key)
            return workflow

    def put(self, key: Key, workflow: Workflow) -> None:
        """Keep a version, and forget the one not used for longest when there are too many."""
        with self._lock:
            self._kept[key] = workflow
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
