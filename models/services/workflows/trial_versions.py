"""The unlisted versions that trials run: one node of a graph, validated, with the pinned nodes before it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.orm import Session

from models.errors import FieldError, NotFound
from models.rules.graph.findings import Finding
from models.rules.graph.graph import Graph, parse
from models.rules.lint import trials
from models.rules.lint.agents import agents_of
from models.rules.lint.estimate import worst_case
from models.rules.lint.lint import check_shape, lint
from models.rules.lint.problems import field_errors, problems
from models.rules.lint.subworkflows import SubworkflowCall, calls_of
from models.rules.nodes import KINDS
from models.rules.prices.pricing import MAX_CREDITS
from models.serialization import Json
from models.services.workflows import openclaw_agents, subworkflows
from models.services.workflows.saved_versions import InvalidGraph
from models.tables import User, Workflow, WorkflowVersion


@dataclass(frozen=True)
class TriedNode:
    """A node of a graph `{nodes, connections}`, and what it sees of the loop around it."""

    id: str
    document: Mapping[str, Json]
    index: int | None = None
    item: Json = None

    @property
    def place(self) -> int:
        """Its place in the document; of several nodes with one id the last one counts."""
        ids = [item["id"] for item in self.document["nodes"]]
        return len(ids) - 1 - ids[::-1].index(self.id)

    @property
    def alone(self) -> Graph:
        """The graph of the node alone, outside of any loop."""
        item = {name: value for name, value in self.document["nodes"][self.place].items() if name != "parentId"}
        return parse({"nodes": [item], "connections": []})


def add(
    session: Session, owner: User, workflow: Workflow, tried: TriedNode, pinned: Collection[str]
) -> tuple[WorkflowVersion, Decimal]:
    """Add the version that runs a node with the outputs of `pinned` nodes; also returns its worst case in credits.

    Raises:
        NotFound: there is no such node.
        InvalidGraph: the graph is malformed, or the node, or a workflow that it runs, cannot run.
        NodeNotTriable: the node is a loop.
        InvalidInput: the pinned nodes do not fit.
    """
    _check(tried, pinned)
    calls, below = _validated_calls(session, owner, tried)
    part = trials.cut(tried.document, tried.id, pinned, index=tried.index or 0, item=tried.item)
    version = WorkflowVersion(
        workflow_id=workflow.id,
        name=workflow.name,
        description=workflow.description,
        graph=part,
        node_count=len(part["nodes"]),
        worst_case_credits=min(worst_case(tried.alone, KINDS), MAX_CREDITS),
        calls=[call.to_json() for call in calls],
        agents=[agent.to_json() for agent in agents_of(tried.document) if agent.node_id == tried.id],
    )
    session.add(version)
    session.flush()
    return version, min(version.worst_case_credits + below, MAX_CREDITS)


def _check(tried: TriedNode, pinned: Collection[str]) -> None:
    """Check the shape of the graph, the settings of the node, and what is pinned."""
    if malformed := check_shape(tried.document):
        errors = [FieldError(found.field, found.message) for found in malformed]
        raise InvalidGraph(errors, wanted="node cannot be tried")
    graph = parse(tried.document)
    if tried.id not in graph.nodes:
        raise NotFound("node of this workflow")
    node = graph.nodes[tried.id]
    trials.check_triable(node)
    _reject([found for found in lint(tried.document).errors if found.node_id == tried.id], tried)
    has_iteration = tried.index is not None or tried.item is not None
    trials.check_pins(graph, node, pinned, has_iteration=has_iteration)


def _validated_calls(session: Session, owner: User, tried: TriedNode) -> tuple[list[SubworkflowCall], Decimal]:
    """The node's calls of other workflows, and what these cost at most; raises `InvalidGraph`."""
    field = f"nodes.{tried.place}.config.workflowId"
    calls = [call._replace(field=field) for call in calls_of(tried.alone)]
    below = subworkflows.validate_calls(session, owner, calls)
    agents = [agent for agent in agents_of(tried.document) if agent.node_id == tried.id]
    _reject([*openclaw_agents.judge(session, agents), *below.errors], tried)
    return calls, below.credits


def _reject(found: Sequence[Finding], tried: TriedNode) -> None:
    if found:
        raise InvalidGraph(field_errors(problems(found, tried.document)), wanted="node cannot be tried")
