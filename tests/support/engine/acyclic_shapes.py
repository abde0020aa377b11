"""Topologies of real workflow graphs, if the folder that contains them exists."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHAPES = Path(__file__).parents[4] / "shared" / "graphs" / "shapes.jsonl"


@dataclass(frozen=True)
class Shape:
    """One graph in our document format, with nodes that compute nothing."""

    name: str
    document: dict[str, Any]

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.document["nodes"])


def acyclic_shapes() -> Iterator[Shape]:
    """Yield every acyclic shape; a source with named ports becomes a decision with those ports as cases."""
    for line in SHAPES.read_text().splitlines():
        shape = json.loads(line)
        edges = {(f"n{edge['s']}", f"n{edge['t']}", _port(edge)): None for edge in shape["edges"]}
        ids = [f"n{node['id']}" for node in shape["nodes"]]
        if not _has_cycle(ids, [(source, target) for source, target, _ in edges]):
            yield Shape(f"{shape['src']}-{shape['id']}", _document(ids, list(edges)))


def _port(edge: dict[str, Any]) -> str | None:
    return str(edge["port"]) if edge.get("port") in ("true", "false") else None


def _document(ids: list[str], edges: list[tuple[str, str, str | None]]) -> dict[str, Any]:
    routing = {source for source, _, port in edges if port}
    nodes = [
        {"id": node_id, "type": "decision", "config": {"condition": "true"}}
        if node_id in routing
        else {"id": node_id, "type": "process", "config": {"operation": "transform", "expression": "1"}}
        for node_id in ids
    ]
    connections = [
        {"id": f"c{number}", "from": source, "to": target} | ({"fromPort": port} if port else {})
        for number, (source, target, port) in enumerate(edges)
    ]
    return {"nodes": nodes, "connections": connections}


def _has_cycle(ids: list[str], edges: list[tuple[str, str]]) -> bool:
    waits = dict.fromkeys(ids, 0)
    following: dict[str, list[str]] = {node_id: [] for node_id in ids}
    for source, target in edges:
        waits[target] += 1
        following[source].append(target)
    free = [node_id for node_id, count in waits.items() if not count]
    for node_id in free:
        for target in following[node_id]:
            waits[target] -= 1
            if not waits[target]:
                free.append(target)
    return len(free) < len(ids)
