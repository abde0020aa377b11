"""The problems that keep saved workflows from running now; the workflows and agents that they use may have changed."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from models.rules.executions.states import WorkflowStatus
from models.rules.graph.findings import Finding
from models.rules.lint.agents import judge_agents
from models.rules.lint.problems import MAX_PROBLEMS, problems
from models.serialization import Json
from models.services.workflows import openclaw_agents, subworkflows
from models.tables import User, Workflow, WorkflowVersion


def set_problems(session: Session, owner: User, rows: Sequence[Workflow]) -> None:
    """Set the `problems` of workflows with their `latest` version, by a fixed number of queries."""
    found = _current_errors(session, owner, [(row.id, row.latest.calls, row.latest.agents) for row in rows])
    for row in rows:
        current = problems(found[row.id], row.latest.graph) if row.id in found else []
        row.problems = [*row.latest.lint_errors, *current][:MAX_PROBLEMS]


def has_status(session: Session, owner: User, status: WorkflowStatus) -> ColumnElement[bool]:
    """The condition that a workflow of `owner` is shown with this status."""
    version = WorkflowVersion
    newest = (version.workflow_id == Workflow.id, version.number == Workflow.latest_version)
    has_errors = exists().where(*newest, func.jsonb_array_length(version.lint_errors) > 0)
    cannot_run = or_(has_errors, Workflow.id.in_(_blocked_now(session, owner)))
    if status is WorkflowStatus.DRAFT:
        return or_(Workflow.status == status, cannot_run)
    return and_(Workflow.status == status, ~cannot_run)


def _blocked_now(session: Session, owner: User) -> list[UUID]:
    """Workflows of `owner` that cannot run because of the workflows or agents that they use."""
    version = WorkflowVersion
    owned = (Workflow.user_id == owner.id, Workflow.deleted_at.is_(None))
    depends = or_(*(func.jsonb_array_length(used) > 0 for used in (version.calls, version.agents)))
    rows = session.execute(
        select(Workflow.id, version.calls, version.agents).join(Workflow.latest).where(*owned, depends)
    )
    return list(_current_errors(session, owner, rows.tuples().all()))


def _current_errors(
    session: Session, owner: User, rows: Sequence[tuple[UUID, Json, Json]]
) -> dict[UUID, tuple[Finding, ...]]:
    """The errors of workflows, given as (id, calls, agents), by their ids; workflows without errors are left out."""
    below = subworkflows.validate_all_calls(session, owner, {workflow_id: calls for workflow_id, calls, _ in rows})
    offered = openclaw_agents.offered(session) if any(agents for *_, agents in rows) else None
    errors = {
        workflow_id: (*judge_agents(agents, offered), *(below[workflow_id].errors if workflow_id in below else ()))
        for workflow_id, _, agents in rows
    }
    return {workflow_id: found for workflow_id, found in errors.items() if found}
