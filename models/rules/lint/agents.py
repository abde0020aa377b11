"""The OpenClaw agents that a graph names, and the check that they exist, by a list that changes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from models.rules.expressions.templates import is_template
from models.rules.graph.findings import Finding, error
from models.rules.nodes import ai_agent
from models.rules.prices.pricing import Provider
from models.serialization import Json

MAX_NAME_LENGTH = 64  # characters shown of an unknown agent
MAX_NAMED = 10  # existing agents listed in a message


class NamedAgent(NamedTuple):
    """A node with the id of an agent."""

    node_id: str
    field: str  # its path in the document
    agent_id: str

    def to_json(self) -> Json:
        """The form that is stored with the version."""
        return list(self)


def agents_of(graph: Mapping[str, Json]) -> tuple[NamedAgent, ...]:
    """The agents that a graph of valid shape names, without ids that are computed at run time."""
    nodes = [(index, node, node.get("config") or {}) for index, node in enumerate(graph.get("nodes", []))]
    return tuple(
        NamedAgent(node["id"], f"nodes.{index}.config.agentId", config["agentId"])
        for index, node, config in nodes
        if node.get("type") == ai_agent.KIND.type
        and isinstance(config.get("agentId"), str)
        and config["agentId"]
        and not is_template(config["agentId"])
        and ai_agent.provider(config) is Provider.OPENCLAW
    )


def judge_agents(kept: Iterable[Json], offered: Sequence[str] | None) -> tuple[Finding, ...]:
    """Errors for the stored agents in `kept` that are not `offered`; none if the list is unknown (None)."""
    if offered is None:
        return ()
    existing = f" There are: {', '.join(offered[:MAX_NAMED])}." if offered else ""
    return tuple(
        error("unknown_agent", path, f"OpenClaw has no agent `{agent[:MAX_NAME_LENGTH]}` here.{existing}", node_id=node)
        for node, path, agent in kept
        if agent not in offered
    )
