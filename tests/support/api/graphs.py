"""Graphs in the app's format."""

from typing import Any

from models.serialization import JsonObject


def node(node_id: str, kind: str, **config: Any) -> JsonObject:
    return {"id": node_id, "type": kind, "label": node_id, "position": {"x": 1.5, "y": 2}, "config": config}


def link(source: str, target: str, **more: Any) -> JsonObject:
    return {"id": f"{source}-{target}", "from": source, "to": target, **more}


def two_steps() -> JsonObject:
    """A minimal graph: it costs 1 credit for the run and 0.1 for each node."""
    return {
        "nodes": [node("in", "input", inputType="json"), node("out", "output", outputType="json")],
        "connections": [link("in", "out")],
    }


def workflow(**changes: Any) -> JsonObject:
    return {"name": "Echo", "description": "Says it again", **two_steps(), **changes}
