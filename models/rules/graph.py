"""The graph of a workflow as a value: nodes, connections, containers, and the order they allow.

`parse` reads what the linter found to be well formed; nothing here judges a graph (see `lint`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Json = Any
ERROR_PORT = "error"


@dataclass(frozen=True)
class Retry:
    """How often and how patiently a node's attempt is repeated; intervals in seconds."""

    max_attempts: int = 1
    initial_interval: float = 1.0
    backoff: float = 2.0
    max_interval: float = 60.0


@dataclass(frozen=True)
class Node:
    """One step. `config` is as the client sent it; `parent_id` names the loop that contains it."""

    id: str
    type: str
    label: str
    config: Mapping[str, Json]
    parent_id: str | None = None
    retry: Retry | None = None  # None: the default of its kind
    timeout: float | None = None  # seconds, for one attempt
    deadline: float | None = None  # seconds, for all attempts and what lies between them
    on_error: str = "fail"  # fail | continue | branch
    default_value: Json = None  # the output when on_error is "continue"
    on_crash: str = "retry"  # retry | fail: what a worker's death during an attempt means
    side_effects: str | None = None  # "once": a retry of the run asks before the node acts a second time


@dataclass(frozen=True)
class Connection:
    """`target` waits for `source`. Without a port it is taken whenever its source succeeds."""

    id: str
    source: str
    target: str
    port: str | None = None


@dataclass(frozen=True)
class Graph:
    """Nodes by id, in the order in which they were drawn, and the connections between them."""

    nodes: Mapping[str, Node]
    connections: tuple[Connection, ...]

    @cached_property
    def outgoing(self) -> Mapping[str, tuple[Connection, ...]]:
        """Connections by source."""
        return _grouped((c.source, c) for c in self.connections)

    @cached_property
    def incoming(self) -> Mapping[str, tuple[Connection, ...]]:
        """Connections by target."""
        return _grouped((c.target, c) for c in self.connections)

    @cached_property
    def children(self) -> Mapping[str | None, tuple[str, ...]]:
        """Node ids by container; `None` holds the top level."""
        return _grouped((node.parent_id, node.id) for node in self.nodes.values())


def parse(document: Mapping[str, Json]) -> Graph:
    """Read `{nodes, connections}` in the shape of the HTTP contract."""
    nodes = (_node(item) for item in document["nodes"])
    connections = (
        Connection(
            id=str(item.get("id") or f"{item['from']}->{item['to']}"),
            source=item["from"],
            target=item["to"],
            port=item.get("fromPort") or None,
        )
        for item in document["connections"]
    )
    return Graph({node.id: node for node in nodes}, tuple(connections))


def _node(item: Mapping[str, Json]) -> Node:
    retry = item.get("retry")
    return Node(
        id=item["id"],
        type=item["type"],
        label=item.get("label") or item["id"],
        config=item.get("config") or {},
        parent_id=item.get("parentId") or None,
        retry=_retry(retry) if retry else None,
        timeout=item.get("timeout"),
        deadline=item.get("deadline"),
        on_error=item.get("onError") or "fail",
        default_value=item.get("defaultValue"),
        on_crash=item.get("onCrash") or "retry",
        side_effects=item.get("sideEffects") or None,
    )


def _retry(item: Mapping[str, Json]) -> Retry:
    given = {
        "max_attempts": item.get("maxAttempts"),
        "initial_interval": item.get("initialInterval"),
        "backoff": item.get("backoff"),
        "max_interval": item.get("maxInterval"),
    }
    return Retry(**{name: value for name, value in given.items() if value is not None})


def _grouped(pairs: Iterable[tuple[Any, Any]]) -> Mapping[Any, tuple[Any, ...]]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: tuple(values) for key, values in groups.items()}
