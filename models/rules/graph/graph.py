"""The graph of a workflow as a value: nodes, connections and containers.

`parse` reads documents whose shape the linter has checked; nothing is validated here (see `models.rules.lint`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from models.serialization import Json

ERROR_PORT = "error"
MAX_DELAY_SECONDS = 600.0  # also of a provider's Retry-After


@dataclass(frozen=True)
class Retry:
    """How often a node is attempted, and at which intervals in seconds."""

    max_attempts: int = 1
    initial_interval: float = 1.0
    backoff: float = 2.0
    max_interval: float = 60.0

    def delay(self, attempt: int, *, chance: float, asked: float | None = None) -> float:
        """Seconds between attempt number `attempt` (from 1) and the next one.

        Args:
            attempt: the number of the failed attempt.
            chance: random, 0 to 1; spreads the attempts of many runs over the upper half of the interval.
            asked: the provider's Retry-After in seconds, if any; the delay is not shorter, up to `MAX_DELAY_SECONDS`.
        """
        interval = min(self.max_interval, self.initial_interval * self.backoff ** (attempt - 1))
        return min(MAX_DELAY_SECONDS, max(interval * (0.5 + chance / 2), asked or 0.0))


@dataclass(frozen=True)
class Node:
    """A node. `config` is as the client sent it; `parent_id` is the loop that contains it."""

    id: str
    type: str
    label: str
    config: Mapping[str, Json]
    parent_id: str | None = None
    retry: Retry | None = None  # None: the default of its kind
    timeout: float | None = None  # seconds, for one attempt
    deadline: float | None = None  # seconds, for all attempts and the waits between them
    on_error: str = "fail"  # fail | continue | branch
    default_value: Json = None  # the output if on_error is "continue"
    on_crash: str = "retry"  # retry | fail, after a worker died during an attempt
    side_effects: str | None = None  # "once": a retry of the run needs confirmation to execute the node again

    @property
    def limit(self) -> float | None:
        """The seconds within which a node without attempts must end; None if only the run is limited."""
        return min((given for given in (self.timeout, self.deadline) if given is not None), default=None)


@dataclass(frozen=True)
class NodeConnection:
    """A connection: `target` waits for `source`. Without a port it is taken whenever its source succeeds."""

    id: str
    source: str
    target: str
    port: str | None = None


@dataclass(frozen=True)
class Trial:
    """The one node that runs in a trial; the others have pinned outputs. `iteration` is the index and item it sees."""

    node_id: str
    iteration: tuple[int, Json] | None = None  # None for a node that is not in a loop


@dataclass(frozen=True)
class Graph:
    """Nodes by id, in the order of the document, and the connections between them."""

    nodes: Mapping[str, Node]
    connections: tuple[NodeConnection, ...]
    trial: Trial | None = None  # None for the graph of a workflow

    @cached_property
    def outgoing(self) -> Mapping[str, tuple[NodeConnection, ...]]:
        """Connections by source."""
        return _grouped((c.source, c) for c in self.connections)

    @cached_property
    def incoming(self) -> Mapping[str, tuple[NodeConnection, ...]]:
        """Connections by target."""
        return _grouped((c.target, c) for c in self.connections)

    @cached_property
    def children(self) -> Mapping[str | None, tuple[str, ...]]:
        """Node ids by container; None is the top level."""
        return _grouped((node.parent_id, node.id) for node in self.nodes.values())


def parse(document: Mapping[str, Json]) -> Graph:
    """Read `{nodes, connections}` in the form of the API."""
    nodes = (_node(item) for item in document["nodes"])
    connections = (
        NodeConnection(
            id=str(item.get("id") or f"{item['from']}->{item['to']}"),
            source=item["from"],
            target=item["to"],
            port=item.get("fromPort") or None,
        )
        for item in document["connections"]
    )
    return Graph({node.id: node for node in nodes}, tuple(connections), _trial(document.get("trial")))


def _trial(item: Json) -> Trial | None:
    if not item:
        return None
    return Trial(item["nodeId"], (item["index"], item["item"]) if "index" in item else None)


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
