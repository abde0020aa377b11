"""The versions of a workflow, each of which can be restored as the newest one."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from models.errors import NotFound
from models.rules.graph.differences import FieldDifference, GraphDifference, differences
from models.services.rows.queries import Position
from models.services.workflows import workflows
from models.tables import User, Workflow, WorkflowVersion


def list_of(
    session: Session,
    owner: User,
    workflow_id: UUID,
    *,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[WorkflowVersion]:
    """A page of the versions of `owner`'s workflow, newest first, without their graphs; raises `NotFound`."""
    workflows.check_owned(session, owner, workflow_id)
    is_listed = WorkflowVersion.number.is_not(None)
    versions = select(WorkflowVersion).where(WorkflowVersion.workflow_id == workflow_id, is_listed)
    if after:  # numbers are unique, unlike times
        last = select(WorkflowVersion.number).where(WorkflowVersion.id == after[1]).scalar_subquery()
        versions = versions.where(WorkflowVersion.number < last)
    versions = versions.options(defer(WorkflowVersion.graph, raiseload=True))
    return session.scalars(versions.order_by(WorkflowVersion.number.desc()).limit(limit).offset(offset)).all()


def get(session: Session, owner: User, workflow_id: UUID, number: int) -> WorkflowVersion:
    """A version of `owner`'s workflow with its graph; raises `NotFound`."""
    workflows.check_owned(session, owner, workflow_id)
    version = session.scalar(select(WorkflowVersion).filter_by(workflow_id=workflow_id, number=number))
    if version is None:
        raise NotFound("version of this workflow")
    return version


@dataclass(frozen=True)
class VersionDifference:
    """The differences between two versions; `details` are those of name and description."""

    from_version: int
    to_version: int
    details: Sequence[FieldDifference]
    graph: GraphDifference


def compare(session: Session, owner: User, workflow_id: UUID, number: int, other: int) -> VersionDifference:
    """What changed from one version of `owner`'s workflow to another; raises `NotFound`."""
    before, after = (get(session, owner, workflow_id, one) for one in (number, other))
    details = [
        FieldDifference(name, getattr(before, name), getattr(after, name))
        for name in ("name", "description")
        if getattr(before, name) != getattr(after, name)
    ]
    return VersionDifference(number, other, details, differences(before.graph, after.graph))


def restore(session: Session, owner: User, workflow_id: UUID, number: int) -> Workflow:
    """Save an old version's graph again, as the newest version; raises as `workflows.update` does."""
    old = get(session, owner, workflow_id, number)
    return workflows.update(session, owner, workflow_id, graph=old.graph)
