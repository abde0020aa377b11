"""Saves workflows. A graph is judged when it is saved, so that starting a run judges nothing.

Every save of another graph adds a version; the ones before stay as they are, because runs are pinned to them.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session, joinedload
from sqlalchemy.orm.attributes import set_committed_value

from models.base import Json
from models.errors import FieldError, InvalidInput, NotFound
from models.rules.graph import parse
from models.rules.lint import Report, Severity, check_shape, lint
from models.rules.pricing import MOST_CREDITS
from models.rules.states import WorkflowStatus
from models.rules.subworkflows import Call, calls_of
from models.services import storage, subworkflows
from models.services import workflow_limits as limits
from models.services.paging import Position, newest_first
from models.user import User
from models.workflow import Workflow, WorkflowVersion

Graph = Mapping[str, Json]

MOST_ERRORS = 50  # kept and told; nobody reads more


class InvalidGraph(InvalidInput):
    """The graph cannot run as it is."""

    code = "invalid_graph"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        first = errors[0].message
        more = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
        super().__init__(f"This graph cannot run: {first}{more}", errors=errors[:MOST_ERRORS])


def create(
    session: Session,
    owner: User,
    *,
    name: str,
    graph: Graph,
    description: str = "",
    status: WorkflowStatus = WorkflowStatus.ACTIVE,
    timeout: int | None = None,
    max_queue_seconds: int | None = None,
) -> Workflow:
    """Save a new workflow with its first version; the two times are those of its runs, in seconds.

    Raises:
        InvalidGraph: the graph is misshapen, or `status` is active and it has errors.
        WorkflowLimitReached, NodeLimitReached, StorageLimitReached: the owner's tier does not allow it.
    """
    version = _version(graph, 1)
    _require_clean(session, owner, version, status)
    tier = limits.check_number(session, owner)
    limits.check_size(tier, version.node_count)
    storage.require_room(session, owner)
    times = {"timeout": timeout, "max_queue_seconds": max_queue_seconds}
    workflow = Workflow(user_id=owner.id, name=name, description=description, status=status, latest_version=1, **times)
    session.add(workflow)
    session.flush()
    _add_version(session, workflow, version)
    return workflow


def get(session: Session, owner: User, workflow_id: UUID) -> Workflow:
    """One workflow of `owner`'s with its `latest` version and `read_only_reason`; raises `NotFound`."""
    for workflow in _shown(session, owner, _owned(owner).where(Workflow.id == workflow_id)):
        return workflow
    raise NotFound("workflow")


def list_owned(
    session: Session,
    owner: User,
    *,
    q: str | None = None,
    status: WorkflowStatus | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[Workflow]:
    """A page of `owner`'s workflows, the newest first, each with its `latest` version and `read_only_reason`.

    Args:
        q: only those with this in their name, in whatever case.
        status: only active ones, or only drafts.
    """
    query = _owned(owner)
    if q:
        query = query.where(Workflow.name.icontains(q, autoescape=True))
    if status is not None:
        query = query.where(Workflow.status == status)
    return _shown(session, owner, newest_first(query, Workflow, limit=limit, offset=offset, after=after))


def update(
    session: Session,
    owner: User,
    workflow_id: UUID,
    *,
    name: str | None = None,
    description: str | None = None,
    graph: Graph | None = None,
    status: WorkflowStatus | None = None,
    **times: int | None,
) -> Workflow:
    """Change what is given; another graph becomes a new version. A graph that is too large may become smaller.

    `times` are those of `create`; None takes one back.

    Raises as `create` does, `NotFound`, and `WorkflowReadOnly` for what the owner's tier does not reach.
    """
    proposed = _version(graph, 0) if graph is not None else None
    workflow = _locked(session, owner, workflow_id)
    is_new = proposed is not None and _canonical(proposed.graph) != _canonical(workflow.latest.graph)
    version = proposed if proposed is not None and is_new else workflow.latest
    _require_clean(session, owner, version, status or workflow.status, itself=workflow_id)
    limits.check_size(owner.subscription_tier, version.node_count, before=workflow.latest.node_count)
    workflow.name = name if name is not None else workflow.name
    workflow.description = description if description is not None else workflow.description
    workflow.status = status or workflow.status
    workflow.timeout = times.get("timeout", workflow.timeout)
    workflow.max_queue_seconds = times.get("max_queue_seconds", workflow.max_queue_seconds)
    if is_new:
        storage.require_room(session, owner)
        version.number = workflow.latest_version = workflow.latest_version + 1
        _add_version(session, workflow, version)
    session.flush()
    _explain(owner, workflow, surplus=False)
    return workflow


def delete(session: Session, owner: User, workflow_id: UUID) -> None:
    """Hide a workflow; its versions and runs stay, and runs under way go on. Raises `NotFound`."""
    workflow = session.scalar(_owned(owner).where(Workflow.id == workflow_id).with_for_update())
    if workflow is None:
        raise NotFound("workflow")
    workflow.deleted_at = func.now()
    session.flush()


def check_owned(session: Session, owner: User, workflow_id: UUID) -> None:
    """Raises `NotFound` unless `owner` has this workflow."""
    if not session.scalar(select(exists(_owned(owner).where(Workflow.id == workflow_id)))):
        raise NotFound("workflow")


def validate(session: Session, owner: User, graph: Graph) -> Report:
    """Everything that is wrong with a graph, the workflows that it runs included, and what it costs at most."""
    report = lint(graph)
    if report.worst_case_credits is None or not (calls := _calls(graph, report)):
        return report
    verdict = subworkflows.look(session, owner, calls)
    found = sorted((*report.findings, *verdict.findings), key=lambda finding: finding.severity is not Severity.ERROR)
    return Report(tuple(found), report.worst_case_credits + verdict.credits)


def require_runnable(graph: Graph) -> None:
    """Raises `InvalidGraph` unless this graph could run, given the workflows that it runs."""
    if errors := _version(graph, 1).lint_errors:
        raise InvalidGraph([FieldError(**error) for error in errors])


def _owned(owner: User) -> Select[tuple[Workflow]]:
    return select(Workflow).where(Workflow.user_id == owner.id, Workflow.deleted_at.is_(None))


def _shown(session: Session, owner: User, query: Select[tuple[Workflow]]) -> Sequence[Workflow]:
    """What `query` finds, ready to be shown."""
    rows = session.execute(query.add_columns(limits.is_surplus(owner)).options(joinedload(Workflow.latest))).all()
    for workflow, surplus in rows:
        _explain(owner, workflow, surplus=surplus)
    return [workflow for workflow, _ in rows]


def _locked(session: Session, owner: User, workflow_id: UUID) -> Workflow:
    """A workflow to be changed: its versions are numbered one after the other."""
    found = session.execute(
        _owned(owner)
        .add_columns(limits.is_surplus(owner))
        .where(Workflow.id == workflow_id)
        .with_for_update(of=Workflow)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        raise NotFound("workflow")
    workflow: Workflow = found[0]
    limits.check_reached(owner.subscription_tier, surplus=found[1])
    session.refresh(workflow, ["latest"])
    return workflow


def _explain(owner: User, workflow: Workflow, *, surplus: bool) -> None:
    nodes = workflow.latest.node_count
    workflow.read_only_reason = limits.why_read_only(owner.subscription_tier, surplus=surplus, nodes=nodes)


def _version(graph: Graph, number: int) -> WorkflowVersion:
    """A version with the linter's verdict; refuses what has not even the shape of a graph."""
    if misshapen := check_shape(graph):
        raise InvalidGraph([FieldError(found.field, found.message) for found in misshapen])
    report = lint(graph)
    nodes, connections = graph.get("nodes", []), graph.get("connections", [])
    return WorkflowVersion(
        number=number,
        graph={"nodes": nodes, "connections": connections},
        calls=[call.to_json() for call in _calls(graph, report)],
        node_count=len(nodes),
        lint_errors=[{"field": error.field, "message": error.message} for error in report.errors[:MOST_ERRORS]],
        worst_case_credits=min(report.worst_case, MOST_CREDITS),
    )


def _calls(graph: Graph, report: Report) -> Sequence[Call]:
    """What a graph calls; nothing where it is too broken to tell."""
    if report.worst_case_credits is None:
        return ()
    return calls_of(parse({"nodes": graph.get("nodes", []), "connections": graph.get("connections", [])}))


def _add_version(session: Session, workflow: Workflow, version: WorkflowVersion) -> None:
    version.workflow_id = workflow.id
    session.add(version)
    session.flush()
    set_committed_value(workflow, "latest", version)


def _require_clean(
    session: Session, owner: User, version: WorkflowVersion, status: WorkflowStatus, itself: UUID | None = None
) -> None:
    if status is WorkflowStatus.ACTIVE:
        below = subworkflows.below(session, owner, version.calls, itself=itself)
        if errors := [*(FieldError(**error) for error in version.lint_errors), *below.errors]:
            raise InvalidGraph(errors)


def _canonical(graph: Any) -> bytes:
    """Graphs are the same when this is; Python itself takes 1, 1.0 and true for equal."""
    return orjson.dumps(graph, option=orjson.OPT_SORT_KEYS)
