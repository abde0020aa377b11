"""What people answer to a run that waits: yes or no to its question, or more credits for its next node.

The answer is kept in the waiting row, and the run is marked as due, so that whoever drives it, now or later, finds it.
"""

from decimal import Decimal
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import Json
from models.changes import announce
from models.errors import Conflict, FieldError, InvalidInput
from models.execution import Execution
from models.rules.states import ExecutionStatus
from models.services import credits, executions
from models.user import User

# Within a loop a node may ask in several iterations; without a path the first of them is answered.
_ANSWER = text("""
    UPDATE node_executions
       SET external_ref = external_ref || jsonb_build_object('answer', CAST(:answer AS jsonb))
     WHERE (execution_id, node_id, path) = (
        SELECT execution_id, node_id, path FROM node_executions
         WHERE execution_id = :execution AND node_id = :node AND status = 'waiting'
           AND external_ref->>'type' = 'approval' AND external_ref->'answer' IS NULL
           AND (CAST(:path AS text) IS NULL OR path = :path)
         ORDER BY path LIMIT 1 FOR UPDATE)
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


class NothingAsked(Conflict):
    """The run does not wait for this."""

    code = "nothing_asked"


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
    """Answer the question of an approval node, once; raises `NotFound`, or `NothingAsked` when it does not wait."""
    execution = executions.get(session, owner, execution_id)
    answer: Json = {"approved": approved, "comment": comment, "by": str(owner.id)}
    found = session.execute(
        _ANSWER,
        {"execution": execution.id, "node": node_id, "path": path, "answer": orjson.dumps(answer).decode()},
    ).first()
    if found is None:
        raise NothingAsked("This node does not wait for an answer.")
    session.execute(_CALL, {"execution": execution.id})
    announce(session, execution.id)
    return execution


def resume(session: Session, owner: User, execution_id: UUID, *, max_credits: Decimal) -> Execution:
    """Raise what a run may cost, so that one that waits for credits goes on.

    Raises `NotFound`, `NothingAsked` when it does not wait for credits, `InvalidInput` when the cap is not higher, and
    `InsufficientCredits`.
    """
    execution = executions.get_locked(session, owner, execution_id)
    waits_for = (execution.waiting_for or {}).get("type")
    if execution.status is not ExecutionStatus.WAITING or waits_for != "budget":
        raise NothingAsked("This run does not wait for credits.")
    if max_credits <= execution.credits_cap:
        message = f"Must be more than the {execution.credits_cap} credits that are used up."
        raise InvalidInput("The run cannot go on with this.", errors=[FieldError("maxCredits", message)])
    credits.raise_hold(session, owner.id, max_credits, execution.id)
    session.execute(_RAISE_CAP, {"execution": execution.id, "cap": max_credits})
    announce(session, execution.id)
    session.refresh(execution)
    return execution
