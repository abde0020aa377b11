"""A workflow version ready to run: parsed, planned and compiled once, then shared by all its runs."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock
from uuid import UUID

from models.errors import ForgeError
from models.rules.graph.config import CompiledConfig, compile_config
from models.rules.graph.graph import Graph, parse
from models.rules.graph.kinds import NodeKind
from models.rules.graph.plan import GraphPlan
from models.rules.lint.subworkflows import TYPE as SUBWORKFLOW
from models.rules.nodes import KINDS
from models.rules.prices import charging
from models.rules.prices.pricing import PriceList
from models.serialization import Json

Key = tuple[UUID, str]  # version and name of a price list

KEPT_VERSIONS = 256


@dataclass(frozen=True)
class CompiledWorkflow:
    """A compiled version with its prices. Immutable, so drivers in many threads share it."""

    graph: Graph
    plan: GraphPlan
    kinds: Mapping[str, NodeKind]  # by node id
    configs: Mapping[str, CompiledConfig]  # by node id
    price_list: PriceList
    prices: Mapping[str, Decimal]  # by node id: credits of one successful execution of the node
    callers: frozenset[str]  # ids of the nodes that run other workflows

    def failure_price(self, node_id: str, error: ForgeError, *, sent: bool, owed: bool) -> Decimal:
        """Credits of one execution of a node that failed with `error`; see `charging.failure`."""
        code = getattr(error, "cause", None) or error.code
        return charging.failure(code, self.prices[node_id], self.price_list.node_base, sent=sent, owed=owed)


def compile_workflow(document: Mapping[str, Json], price_list: PriceList) -> CompiledWorkflow:
    """Compile a graph `{nodes, connections}` that the linter accepted, for runs charged by `price_list`."""
    graph = parse(document)
    ids = frozenset(graph.nodes)
    kinds = {node_id: KINDS[node.type] for node_id, node in graph.nodes.items()}
    configs = {node_id: compile_config(kinds[node_id], node, ids) for node_id, node in graph.nodes.items()}
    joins_any = (node_id for node_id, node in graph.nodes.items() if kinds[node_id].joins_any(node.config))
    return CompiledWorkflow(
        graph=graph,
        plan=GraphPlan(graph, joins_any, {node_id: config.nodes for node_id, config in configs.items()}),
        kinds=kinds,
        configs=configs,
        price_list=price_list,
        prices={
            node_id: price_list.node(kinds[node_id].provider(node.config)) for node_id, node in graph.nodes.items()
        },
        callers=frozenset(node_id for node_id, node in graph.nodes.items() if node.type == SUBWORKFLOW),
    )


class WorkflowCache:
    """The versions that this process ran last, by version and price list, which never change. Thread-safe."""

    def __init__(self, size: int = KEPT_VERSIONS) -> None:
        self._size = size
        self._kept: OrderedDict[Key, CompiledWorkflow] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> CompiledWorkflow | None:
        """Return the compiled version, None if it is not cached."""
        with self._lock:
            workflow = self._kept.get(key)
            if workflow:
                self._kept.move_to_end(key)
            return workflow

    def put(self, key: Key, workflow: CompiledWorkflow) -> None:
        """Cache a version, and drop the least recently used one when there are too many."""
        with self._lock:
            self._kept[key] = workflow
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
