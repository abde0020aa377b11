"""Approvals and resumes of waiting runs: a decision for a node, or a higher limit of credits.

The decision is stored in the row of the waiting node and the run is made due, so that its driver finds it.
"""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.changes import notify_changed
from models.errors import Conflict, FieldError, InvalidInput
from models.rules.executions.states import ExecutionStatus
from models.serialization import Json, to_json
from models.services.credits import ledger
from models.services.executions import executions
from models.tables import Execution, User

# A node in a loop may wait in several iterations; without a path, the first of them is approved.
_APPROVE = text("""
    UPDATE node_executions
       SET external_ref = external_ref || jsonb_build_object('answer', CAST(:answer AS jsonb))
     WHERE (execution_id, node_id, path) = (
        SELECT execution_id, node_id, path FROM node_executions
         WHERE execution_id = :execution AND node_id = :node AND status = 'waiting'
           AND external_ref->>'type' = 'approval' AND external_ref->'answer' IS NULL
           AND (CAST(:path AS text) IS NULL OR path = :path)
         ORDER BY path LIMIT 1)
 RETURNING path
""")

_CALL = text("""
    UPDATE workflow_executions SET wake_at = now(), updated_at = now()
     WHERE id = :execution AND status IN ('running', 'waiting')
""")

_RAISE_CAP = text("""
    UPDATE workflow_executions
       SET credits_added = credits_added + :cap - credits_cap, credits_cap = :cap, wake_at = now(), updated_at = now()
     WHERE id = :execution
""")


class NothingToApprove(Conflict):
    """The run does not wait for an approval or for credits."""

    code = "nothing_to_approve"


def approve(
    session: Session,
    owner: User,
    execution_id: UUID,
    node_id: str,
    *,
    approved: bool,
    comment: str | None = None,
    path: str | None = None,
) -> Execution:
    """Record the decision on an approval node, once.

    The run is locked before its nodes, in the same order as everywhere.

    Args:
        session: the session of the transaction.
        owner: the user who owns the run.
        execution_id: the run.
        node_id: the approval node.
        approved: the decision.
        comment: the owner's comment on it.
        path: the iteration, for a node in a loop; None: the first that waits.

    Raises:
        NotFound: `owner` has no such run.
        NothingToApprove: the node does not wait for an approval.
    """
    execution = executions.get_locked(session, owner, execution_id)
    approval: Json = {"approved": approved, "comment": comment, "by": str(owner.id)}
    found = session.execute(
        _APPROVE,
        {"execution": execution.id, "node": node_id, "path": path, "answer": to_json(approval)},
    ).first()
    if found is None:
        raise NothingToApprove("This node is not waiting for an approval.")
    session.execute(_CALL, {"execution": execution.id})
    notify_changed(session, execution.id)
    return execution


def resume(session: Session, owner: User, execution_id: UUID, *, max_credits: Decimal) -> Execution:
    """Raise the cap of a run that waits for credits, so that it goes on.

    Raises:
        NotFound: `owner` has no such run.
        NothingToApprove: the run does not wait for credits.
        InvalidInput: `max_credits` is not higher than the cap, or too low for the next node.
        InsufficientCredits: the owner does not have the additional credits.
    """
    execution = executions.get_locked(session, owner, execution_id)
    waits_for = (execution.waiting_for or {}).get("type")
    if execution.status is not ExecutionStatus.WAITING or waits_for != "budget":
        raise NothingToApprove("This run does not wait for credits.")
    least = Decimal(str((execution.waiting_for or {}).get("needed", 0)))
    if max_credits <= execution.credits_cap or max_credits < least:
        message = f"Must be more than the {execution.credits_cap} credits that it has, and at least {least}."
        raise InvalidInput("The run cannot go on with these credits.", errors=[FieldError("maxCredits", message)])
    ledger.raise_hold(session, owner.id, max_credits, execution.id)
    session.execute(_RAISE_CAP, {"execution": execution.id, "cap": max_credits})
    notify_changed(session, execution.id)
    session.refresh(execution)
    return execution
