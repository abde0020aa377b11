"""Undoes the deletion of a workflow, for as long as the history of its runs is kept."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.services.credits import storage
from models.services.rows.queries import lock_user
from models.services.workflows import workflow_limits, workflows
from models.tables import UNDO_DELETION, User, Workflow


def undelete(session: Session, owner: User, workflow_id: UUID) -> Workflow:
    """Restore a workflow that `owner` deleted in the last ten minutes, with the history of its runs.

    Raises `NotFound`, also later, and `WorkflowLimitReached` or `StorageLimitReached` if there is no room for it any
    more. A workflow that was not deleted is returned as it is.
    """
    lock_user(session, owner.id)  # before the workflow, as everywhere
    deleted = select(Workflow).where(
        Workflow.id == workflow_id,
        Workflow.user_id == owner.id,
        Workflow.deleted_at > func.now() - UNDO_DELETION,
        Workflow.history_removed_at.is_(None),
    )
    workflow = session.scalar(deleted.with_for_update().execution_options(populate_existing=True))
    if workflow is None:
        return workflows.get(session, owner, workflow_id)
    workflow_limits.check_number(session, owner)
    workflow.deleted_at = None
    session.flush()
    storage.freed(session, [owner.id])  # measured again, because it counts again
    storage.require_room(session, owner)
    return workflows.get(session, owner, workflow_id)
