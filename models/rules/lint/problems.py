"""Problems that keep a graph from running, as messages that name the node or connection and the setting."""

from collections.abc import Iterable, Mapping

from models.errors import FieldError
from models.rules.graph.findings import Finding
from models.serialization import Json

MAX_PROBLEMS = 50  # stored and shown
MAX_NAME_LENGTH = 60


def problems(findings: Iterable[Finding], graph: Mapping[str, Json]) -> list[Json]:
    """The first `MAX_PROBLEMS` errors of a graph of valid shape, as `{field, message, nodeId}`."""
    found = [found for found, _ in zip(findings, range(MAX_PROBLEMS), strict=False)]
    return [{"field": one.field, "message": _sentence(one, graph), "nodeId": one.node_id} for one in found]


def field_errors(stored: Iterable[Json]) -> list[FieldError]:
    """Stored problems as field errors."""
    return [FieldError(problem["field"], problem["message"]) for problem in stored]


def _sentence(finding: Finding, graph: Mapping[str, Json]) -> str:
    kind, _, rest = finding.field.partition(".")
    index, _, setting = rest.partition(".")
    items = graph.get(kind, [])
    if kind not in ("nodes", "connections") or not index.isdigit() or int(index) >= len(items):
        return finding.message
    name = _node(items[int(index)]) if kind == "nodes" else _connection(items[int(index)])
    setting = setting.removeprefix("config.")
    is_named = not setting or f"`{setting.rpartition('.')[2]}`" in finding.message
    return f"{name}: {finding.message}" if is_named else f"{name}, `{setting}`: {finding.message}"


def _node(node: Mapping[str, Json]) -> str:
    return f'Node "{str(node.get("label") or node["id"])[:MAX_NAME_LENGTH]}"'


def _connection(connection: Mapping[str, Json]) -> str:
    return f'Connection from "{connection["from"]}" to "{connection["to"]}"'
