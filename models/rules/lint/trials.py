"""Trials: one node of a graph runs, with pinned outputs in place of the results of the nodes before it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.errors import FieldError, InvalidInput
from models.rules.graph.config import compile_config
from models.rules.graph.graph import Graph, Node, parse
from models.rules.nodes import KINDS
from models.serialization import Json

FALLBACK_TYPE = "process"  # of a pinned node whose own type does not exist


@dataclass(frozen=True)
class TrialData:
    """What a tried node gets: outputs by node id, the run's input and, in a loop, the index and item it sees."""

    pinned: Mapping[str, Json] = field(default_factory=dict)
    input: Json = None
    index: int | None = None
    item: Json = None


class NodeNotTriable(InvalidInput):
    """A node of this type cannot run on its own."""

    code = "node_not_triable"


def check_triable(node: Node) -> None:
    """Raise `NodeNotTriable` for a loop, which is nothing without the nodes in it."""
    kind = KINDS.get(node.type)
    if kind and kind.container:
        raise NodeNotTriable(
            f'"{node.label}" is a loop, and a loop cannot be tried alone: try the nodes inside it, each with an item,'
            " or run the workflow."
        )


def check_pins(graph: Graph, node: Node, pinned: Collection[str], *, has_iteration: bool) -> None:
    """Raise `InvalidInput` for pins of other nodes than those of the graph, and for a node that would get no data."""
    errors = [FieldError(f"pinned.{name}", _why_not_pinned(graph, node, name)) for name in pinned]
    errors = [error for error in errors if error.message]
    sources = sorted({connection.source for connection in graph.incoming.get(node.id, ())} & graph.nodes.keys())
    if not errors and sources and not set(sources) & set(pinned):
        names = ", ".join(f"`{name}`" for name in sources)
        errors.append(
            FieldError("pinned", f"Must have the output of a node before this one, null if need be: {names}.")
        )
    if has_iteration and node.parent_id is None:
        errors.append(FieldError("item", "Must be left out, with `index`: the node is not in a loop."))
    if errors:
        raise InvalidInput("The node cannot be tried with these data.", errors=errors)


def _why_not_pinned(graph: Graph, node: Node, name: str) -> str:
    if name == node.id:
        return "Must be left out: this is the node that is tried."
    return "" if name in graph.nodes else "Must be the id of a node of the workflow; there is no such node."


def cut(document: Mapping[str, Json], node_id: str, pinned: Collection[str], *, index: int, item: Json) -> Any:
    """The graph of a trial: the node, the nodes from which it gets data or reads, and what connects it with those.

    A node before it that is not pinned counts as not taken. Pinned nodes lose their settings, because they do not run.

    Args:
        document: `{nodes, connections}`; the linter found no error in the node.
        node_id: the node to run.
        pinned: ids of the nodes with pinned outputs.
        index: the iteration of the loop around the node, if it is in one.
        item: the item of that iteration.
    """
    graph = parse(document)
    node = graph.nodes[node_id]
    sources = {connection.source for connection in graph.incoming.get(node_id, ())} & set(pinned)
    read = compile_config(KINDS[node.type], node, frozenset(graph.nodes)).nodes
    kept = (sources | set(pinned if read is None else read) & graph.nodes.keys()) - {node_id}
    items = {one["id"]: one for one in document["nodes"]}
    iteration = {"index": index, "item": item} if node.parent_id else {}
    return {
        "nodes": [*(_as_pinned(items[name]) for name in items if name in kept), _at_top(items[node_id])],
        "connections": [
            {"id": f"{source}-{node_id}", "from": source, "to": node_id} for source in items if source in sources
        ],
        "trial": {"nodeId": node_id, **iteration},
    }


def _at_top(item: Mapping[str, Json]) -> Json:
    return {name: value for name, value in item.items() if name != "parentId"}


def _as_pinned(item: Mapping[str, Json]) -> Json:
    kept = {name: item[name] for name in ("id", "label", "position") if name in item}
    return {**kept, "type": item["type"] if item["type"] in KINDS else FALLBACK_TYPE}
