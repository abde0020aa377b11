"""The versions of a workflow as they are saved. A version never changes, because runs keep their version.

An editor that saves by itself would fill the history: its saves that follow each other soon are one version. The newest
of them takes the number of the one before, which becomes unlisted: runs that refer to it, also ones that are just
submitted, go on with exactly its graph. A version that a run used keeps its number.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from models.errors import FieldError, InvalidInput
from models.rules.graph.graph import parse
from models.rules.lint.agents import agents_of
from models.rules.lint.lint import Report, check_shape, lint
from models.rules.lint.problems import MAX_PROBLEMS, problems
from models.rules.lint.subworkflows import SubworkflowCall, calls_of
from models.rules.prices.pricing import MAX_CREDITS
from models.serialization import Json
from models.tables import Workflow, WorkflowVersion

Graph = Mapping[str, Json]

PAUSE_MINUTES = 10  # after which a save of an editor begins another version
MAX_MINUTES = 60  # that one version covers

_CONTINUED = text("""
    UPDATE workflow_versions v SET number = NULL
     WHERE v.id = :latest AND v.editor = :editor
       AND v.created_at > now() - make_interval(mins => :pause) AND v.begun_at > now() - make_interval(mins => :most)
       AND NOT EXISTS (SELECT FROM workflow_executions e WHERE e.version_id = v.id)
 RETURNING begun_at
""")


class InvalidGraph(InvalidInput):
    """The graph cannot run, or is malformed and cannot be saved."""

    code = "invalid_graph"

    def __init__(self, errors: Sequence[FieldError], *, wanted: str = "workflow cannot run") -> None:
        first = errors[0].message
        more = f" There are {len(errors) - 1} more problems." if len(errors) > 1 else ""
        super().__init__(f"This {wanted}. {first}{more}", errors=errors[:MAX_PROBLEMS])


def build(graph: Graph, number: int) -> WorkflowVersion:
    """Lint a graph and build a version of it; raises `InvalidGraph` for a malformed graph."""
    if malformed := check_shape(graph):
        errors = [FieldError(found.field, f"{found.field or 'body'}: {found.message}") for found in malformed]
        raise InvalidGraph(errors, wanted="graph cannot be saved")
    report = lint(graph)
    nodes, connections = graph.get("nodes", []), graph.get("connections", [])
    return WorkflowVersion(
        number=number,
        graph={"nodes": nodes, "connections": connections},
        calls=[call.to_json() for call in calls(graph, report)],
        agents=[agent.to_json() for agent in agents_of(graph)],
        node_count=len(nodes),
        lint_errors=problems(report.errors, graph),
        worst_case_credits=min(report.worst_case, MAX_CREDITS),
    )


def calls(graph: Graph, report: Report) -> Sequence[SubworkflowCall]:
    """The workflows that a graph runs; empty if the graph is too broken to be parsed."""
    if report.worst_case_credits is None:
        return ()
    return calls_of(parse({"nodes": graph.get("nodes", []), "connections": graph.get("connections", [])}))


def add(session: Session, workflow: Workflow, version: WorkflowVersion) -> None:
    """Add a version that has its number, as the newest one."""
    version.workflow_id, version.name, version.description = workflow.id, workflow.name, workflow.description
    session.add(version)
    session.flush()
    set_committed_value(workflow, "latest", version)


def add_next(session: Session, workflow: Workflow, version: WorkflowVersion, editor: UUID | None) -> None:
    """Add another version; the workflow is locked, so that no other one gets the same number.

    With `editor`, the session of an editor that saves by itself, it may take the place of the newest version.
    """
    version.editor = editor
    times = {"pause": PAUSE_MINUTES, "most": MAX_MINUTES}
    of = {"latest": workflow.latest.id, "editor": editor}
    begun_at = session.execute(_CONTINUED, of | times).scalar() if editor else None
    if begun_at is None:
        workflow.latest_version += 1
    else:
        version.begun_at = begun_at
    version.number = workflow.latest_version
    add(session, workflow, version)


def differ(graph: Any, other: Any) -> bool:
    """Whether two graphs are not the same, while Python's `==` holds 1, 1.0 and True for equal."""
    return _canonical(graph) != _canonical(other)


def _canonical(graph: Any) -> bytes:
    return orjson.dumps(graph, option=orjson.OPT_SORT_KEYS)
