"""Saves workflows. A graph is linted when it is saved, so that starting a run need not do it.

A save never loses work: only a malformed or too large graph is rejected. A graph that cannot run is saved, shown as a
draft with its problems, and rejected when it is to run.

Saving another graph adds a version (`saved_versions`).
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session, joinedload

from models.errors import NotFound
from models.rules.executions.states import WorkflowStatus
from models.rules.lint.agents import agents_of
from models.rules.lint.lint import Report, Severity, lint
from models.serialization import Json
from models.services.credits import storage
from models.services.rows.queries import Position, newest_first
from models.services.workflows import openclaw_agents, saved_versions, subworkflows, workflow_problems
from models.services.workflows import workflow_limits as limits
from models.tables import User, Workflow, WorkflowVersion

Graph = Mapping[str, Json]


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
    """Save a new workflow with its first version; `timeout` and `max_queue_seconds` are those of its runs.

    Raises:
        InvalidGraph: the graph is malformed; one that cannot run is saved.
        WorkflowLimitReached, NodeLimitReached, StorageLimitReached: the owner's tier does not allow it.
    """
    limits.check_size(owner.subscription_tier, _size(graph))
    version = saved_versions.build(graph, 1)
    tier = limits.check_number(session, owner)
    limits.check_size(tier, version.node_count)
    storage.require_room(session, owner)
    times = {"timeout": timeout, "max_queue_seconds": max_queue_seconds}
    workflow = Workflow(user_id=owner.id, name=name, description=description, status=status, latest_version=1, **times)
    session.add(workflow)
    session.flush()
    saved_versions.add(session, workflow, version)
    workflow_problems.set_problems(session, owner, [workflow])
    return workflow


def get(session: Session, owner: User, workflow_id: UUID) -> Workflow:
    """A workflow of `owner` with its `latest` version, `problems` and `read_only_reason`; raises `NotFound`."""
    for workflow in _shown(session, owner, _owned(owner).where(Workflow.id == workflow_id)):
        return workflow
    raise NotFound("workflow")


def lock(session: Session, owner: User, workflow_id: UUID) -> Workflow:
    """Like `get`, and locks the workflow until the transaction ends, without blocking new runs of it."""
    session.execute(
        _owned(owner).with_only_columns(Workflow.id).where(Workflow.id == workflow_id).with_for_update(key_share=True)
    )
    return get(session, owner, workflow_id)


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
    """A page of `owner`'s workflows, newest first, as `get` returns them.

    Args:
        session: the session of the transaction.
        owner: the user who owns them.
        q: only workflows with this text in their name, without case.
        status: only active ones or only drafts, which include those that cannot run.
        limit: the size of the page.
        offset: the number of workflows to skip.
        after: the position of the last workflow of the previous page.
    """
    query = _owned(owner)
    if q:
        query = query.where(Workflow.name.icontains(q, autoescape=True))
    if status is not None:
        query = query.where(workflow_problems.has_status(session, owner, status))
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
    editor: UUID | None = None,
    **times: int | None,
) -> Workflow:
    """Change the given values; another graph makes a new version, and one above the limit may be made smaller.

    `editor` is the session of an editor that saves by itself, whose saves soon after each other are one version.
    `times` may have `timeout` and `max_queue_seconds` as in `create`; None removes one.

    Raises `NotFound`, `WorkflowReadOnly` for a surplus workflow, and the errors of `create`.
    """
    if graph is not None:
        _check_size_beforehand(session, owner, workflow_id, graph)
    proposed = saved_versions.build(graph, 0) if graph is not None else None
    workflow = _locked(session, owner, workflow_id)
    is_new = proposed is not None and saved_versions.differ(proposed.graph, workflow.latest.graph)
    version = proposed if proposed is not None and is_new else workflow.latest
    limits.check_size(owner.subscription_tier, version.node_count, before=workflow.latest.node_count)
    workflow.name = name if name is not None else workflow.name
    workflow.description = description if description is not None else workflow.description
    workflow.status = status or workflow.status
    workflow.timeout = times.get("timeout", workflow.timeout)
    workflow.max_queue_seconds = times.get("max_queue_seconds", workflow.max_queue_seconds)
    if is_new:
        storage.require_room(session, owner)
        saved_versions.add_next(session, workflow, version, editor)
    session.flush()
    _set_read_only_reason(owner, workflow, surplus=False)
    workflow_problems.set_problems(session, owner, [workflow])
    return workflow


def delete(session: Session, owner: User, workflow_id: UUID) -> None:
    """Mark a workflow as deleted; raises `NotFound`.

    Runs under way go on. The history of ended runs is pruned soon, except for their receipts.
    """
    workflow = session.scalar(_owned(owner).where(Workflow.id == workflow_id).with_for_update())
    if workflow is None:
        raise NotFound("workflow")
    workflow.deleted_at = func.now()
    session.flush()
    storage.freed(session, [owner.id])


def check_owned(session: Session, owner: User, workflow_id: UUID) -> None:
    """Raise `NotFound` unless `owner` has this workflow."""
    if not session.scalar(select(exists(_owned(owner).where(Workflow.id == workflow_id)))):
        raise NotFound("workflow")


def validate(session: Session, owner: User, graph: Graph) -> Report:
    """Validate a graph and the workflows that it runs, and compute their worst case in credits.

    Raises `NodeLimitReached`, before linting, for a graph that is too large for the owner's tier.
    """
    limits.check_size(owner.subscription_tier, _size(graph))
    report = lint(graph)
    if report.worst_case_credits is None:
        return report
    below = subworkflows.validate_calls(session, owner, saved_versions.calls(graph, report))
    found = (*report.findings, *openclaw_agents.judge(session, agents_of(graph)), *below.findings)
    errors_first = sorted(found, key=lambda finding: finding.severity is not Severity.ERROR)
    return Report(tuple(errors_first), report.worst_case_credits + below.credits)


def problems_of(owner: User, graph: Graph) -> list[Json]:
    """The problems that keep a graph from running, without those of the workflows that it runs.

    Raises `NodeLimitReached`, and `InvalidGraph` for a malformed graph.
    """
    limits.check_size(owner.subscription_tier, _size(graph))
    found: list[Json] = saved_versions.build(graph, 1).lint_errors
    return found


def _owned(owner: User) -> Select[tuple[Workflow]]:
    return select(Workflow).where(Workflow.user_id == owner.id, Workflow.deleted_at.is_(None))


def _shown(session: Session, owner: User, query: Select[tuple[Workflow]]) -> Sequence[Workflow]:
    """The workflows that `query` finds, with `problems` and `read_only_reason`."""
    rows = session.execute(query.add_columns(limits.is_surplus(owner)).options(joinedload(Workflow.latest))).all()
    for workflow, surplus in rows:
        _set_read_only_reason(owner, workflow, surplus=surplus)
    found = [workflow for workflow, _ in rows]
    workflow_problems.set_problems(session, owner, found)
    return found


def _locked(session: Session, owner: User, workflow_id: UUID) -> Workflow:
    """The workflow, locked for a change, so that its versions are numbered consecutively."""
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


def _set_read_only_reason(owner: User, workflow: Workflow, *, surplus: bool) -> None:
    nodes = workflow.latest.node_count
    workflow.read_only_reason = limits.why_read_only(owner.subscription_tier, surplus=surplus, nodes=nodes)


def _size(graph: Graph) -> int:
    """The number of nodes of a graph, before it is validated."""
    nodes = graph.get("nodes", [])
    return len(nodes) if isinstance(nodes, list) else 0


def _check_size_beforehand(session: Session, owner: User, workflow_id: UUID, graph: Graph) -> None:
    """Reject a graph that is too large before linting it; the check is repeated when the row is locked."""
    tier, size = owner.subscription_tier, _size(graph)
    if limits.allows(tier, size):
        return
    latest = select(WorkflowVersion.node_count).join(Workflow, WorkflowVersion.workflow_id == Workflow.id)
    newest = (WorkflowVersion.number == Workflow.latest_version, Workflow.id == workflow_id)
    before = session.scalar(latest.where(*newest, Workflow.user_id == owner.id, Workflow.deleted_at.is_(None)))
    if before is None:
        raise NotFound("workflow")
    limits.check_size(tier, size, before=before)
