"""The differences between two graphs: nodes and connections that were added, removed or changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

Json = Any
MISSING: Json = None  # of a key that one of the graphs has not


@dataclass(frozen=True)
class FieldDifference:
    """A value that differs; `field` is a dotted path such as `config.url`."""

    field: str
    before: Json
    after: Json


@dataclass(frozen=True)
class NodeDifference:
    """A node that both graphs have, with the values that differ, its position left out."""

    id: str
    label: str
    type: str
    fields: tuple[FieldDifference, ...]


@dataclass(frozen=True)
class GraphDifference:
    """What must be done to the first graph to get the second one; nodes in `moved` stand elsewhere."""

    added: tuple[Json, ...]
    removed: tuple[Json, ...]
    changed: tuple[NodeDifference, ...]
    moved: tuple[str, ...]
    connected: tuple[Json, ...]
    disconnected: tuple[Json, ...]


def differences(before: Mapping[str, Json], after: Mapping[str, Json]) -> GraphDifference:
    """Compare two graphs. Nodes are the same by id, connections by their ends and their port."""
    old, new = ({node["id"]: node for node in graph.get("nodes", ())} for graph in (before, after))
    was, now = ({_ends(one): one for one in graph.get("connections", ())} for graph in (before, after))
    shared = [node_id for node_id in new if node_id in old]
    return GraphDifference(
        added=tuple(node for node_id, node in new.items() if node_id not in old),
        removed=tuple(node for node_id, node in old.items() if node_id not in new),
        changed=tuple(found for node_id in shared if (found := _changed(old[node_id], new[node_id]))),
        moved=tuple(node_id for node_id in shared if not _same(old[node_id], new[node_id], "position")),
        connected=tuple(one for ends, one in now.items() if ends not in was),
        disconnected=tuple(one for ends, one in was.items() if ends not in now),
    )


def _changed(old: Mapping[str, Json], new: Mapping[str, Json]) -> NodeDifference | None:
    fields = tuple(_fields(_without_position(old), _without_position(new), ""))
    label = str(new.get("label") or new["id"])
    return NodeDifference(new["id"], label, str(new.get("type")), fields) if fields else None


def _fields(old: Mapping[str, Json], new: Mapping[str, Json], prefix: str) -> Iterator[FieldDifference]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name, MISSING), new.get(name, MISSING)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _fields(before, after, f"{prefix}{name}.")
        elif _canonical(before) != _canonical(after):
            yield FieldDifference(f"{prefix}{name}", before, after)


def _same(old: Mapping[str, Json], new: Mapping[str, Json], name: str) -> bool:
    return _canonical(old.get(name)) == _canonical(new.get(name))


def _without_position(node: Mapping[str, Json]) -> Mapping[str, Json]:
    return {name: value for name, value in node.items() if name != "position"}


def _ends(connection: Mapping[str, Json]) -> tuple[str, str, str]:
    return connection["from"], connection.get("fromPort") or "", connection["to"]


def _canonical(value: Json) -> bytes:
    """A form that is equal only for equal values, while Python's `==` holds 1, 1.0 and True for equal."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
