"""Graphs of other tools as our workflows: the same topology, with nodes that do nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[4] / "shared" / "graphs" / "shapes.jsonl"


def shapes() -> Iterator[dict[str, Any]]:
    """Yield every shape of the collection; none if it does not exist."""
    if FILE.exists():
        with FILE.open() as lines:
            yield from map(json.loads, lines)


def is_acyclic(shape: dict[str, Any]) -> bool:
    """Whether its control flow has no cycle."""
    waits = {node["id"]: 0 for node in shape["nodes"]}
    following: dict[int, list[int]] = {node["id"]: [] for node in shape["nodes"]}
    for edge in _flow(shape):
        waits[edge["t"]] += 1
        following[edge["s"]].append(edge["t"])
    ready = [node for node, count in waits.items() if not count]
    for node in ready:
        for target in following[node]:
            waits[target] -= 1
            if not waits[target]:
                ready.append(target)
    return len(ready) == len(waits)


def as_workflow(shape: dict[str, Any]) -> dict[str, Any]:
    """The shape as `{nodes, connections}`; branching nodes keep one port for each of their branches."""
    ports: dict[int, list[str]] = {}
    for edge in _flow(shape):
        ports.setdefault(edge["s"], [])
        if edge["port"] not in ports[edge["s"]]:
            ports[edge["s"]].append(edge["port"])
    nodes = [_node(node["id"], ports.get(node["id"], [])) for node in shape["nodes"]]
    connections = [
        {
            "id": f"c{index}",
            "from": f"n{edge['s']}",
            "to": f"n{edge['t']}",
            **({"fromPort": f"p{ports[edge['s']].index(edge['port'])}"} if len(ports[edge["s"]]) > 1 else {}),
        }
        for index, edge in enumerate(_flow(shape))
    ]
    return {"nodes": nodes, "connections": connections}


def _flow(shape: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge for edge in shape["edges"] if edge["ch"] == "main"]


def _node(number: int, ports: list[str]) -> dict[str, Any]:
    base = {"id": f"n{number}", "label": f"Node {number}", "position": {"x": number, "y": 0}}
    if len(ports) > 1:
        cases = [{"name": f"p{index}", "condition": "true"} for index in range(len(ports))]
        return {**base, "type": "decision", "config": {"cases": cases}}
    return {**base, "type": "process", "config": {"operation": "transform", "expression": "data"}}
