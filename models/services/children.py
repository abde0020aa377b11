"""Starts the run that a step of another run asks for, once: its identity is the step and the attempt.

The child, its hold, the step's row and the parent's lower cap are written together, and only by whoever drives the
parent. What the child may cost is taken from what its parent holds, so a whole family never costs more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.errors import Conflict, LeaseLost
from models.execution import Execution
from models.rules.effects import RunWorkflow
from models.rules.pricing import Priority, price_list
from models.rules.schedule import Step
from models.rules.states import ExecutionStatus
from models.rules.subworkflows import MAX_CHILDREN, MAX_DEPTH
from models.services import families, holds, legacies, runnable, undriven
from models.services.leases import Lease
from models.services.runnable import Runnable
from models.user import User

Json = Any

_PARENT = text("""
    SELECT depth, priority, price_list, deadline_at, credits_cap, status
      FROM workflow_executions WHERE id = :id AND epoch = :epoch AND status IN ('running', 'cancelling') FOR UPDATE
""")
_SIBLINGS = text("SELECT count(*) FROM workflow_executions WHERE parent_execution_id = :id")
_WAIT = text("""
    INSERT INTO node_executions (execution_id, node_id, path, status, attempt, external_ref, started_at)
    VALUES (:execution, :node, :path, 'waiting', :attempt, CAST(:reference AS jsonb), :started)
    ON CONFLICT (execution_id, node_id, path) DO UPDATE
       SET status = 'waiting', attempt = excluded.attempt, external_ref = excluded.external_ref,
           started_at = excluded.started_at
""")


class TooDeep(Conflict):
    """There are as many runs above this one as are allowed."""

    code = "nested_too_deeply"

    def __init__(self) -> None:
        super().__init__(f"Workflows may run each other {MAX_DEPTH} deep, and this is deeper.")


class TooManyChildren(Conflict):
    """The run has started as many others as are allowed."""

    code = "too_many_subworkflows"

    def __init__(self) -> None:
        super().__init__(f"A run may start {MAX_CHILDREN:,} runs of other workflows, and this one has.")


@dataclass(frozen=True)
class Wanted:
    """What a step asks for. `most` is what its run can spare, in credits; `until` the moment when it waits no more."""

    step: Step
    attempt: int
    effect: RunWorkflow
    most: Decimal
    started_at: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class Started:
    """A child: how its parent's step refers to it, whom to ring for, and what is left of the parent's cap."""

    id: UUID
    reference: dict[str, Json]
    priority: Priority
    cap: Decimal


def start(session: Session, lease: Lease, wanted: Wanted) -> Started | None:
    """Start a child of the run under `lease`, or find the one that was started before; None while that is stopped.

    Raises:
        LeaseLost, TooDeep, TooManyChildren, and whatever keeps the workflow from being run by its owner.
    """
    parent = session.execute(_PARENT, {"id": lease.execution_id, "epoch": lease.epoch}).one_or_none()
    if parent is None:
        raise LeaseLost
    if parent.status == ExecutionStatus.CANCELLING:
        return None
    known = session.scalar(select(Execution).filter_by(**_identity(lease, wanted)))
    if known:  # its parent's row says again that it waits, and hears the answer that it may have missed
        reference = _let_wait(session, lease, wanted, known)
        families.answer(session, [known.id])
        return Started(known.id, reference, known.priority, parent.credits_cap)
    if parent.depth >= MAX_DEPTH:
        raise TooDeep
    if session.scalar(_SIBLINGS, {"id": lease.execution_id}) >= MAX_CHILDREN:
        raise TooManyChildren
    owner = session.get_one(User, lease.user_id)
    version = _version(session, owner, wanted, parent)
    return _start(session, lease, wanted, parent, version)


def _version(session: Session, owner: User, wanted: Wanted, parent: Any) -> Runnable:
    prices = price_list(parent.price_list)
    return runnable.newest(session, owner, wanted.effect.workflow_id, depth=parent.depth + 1, prices=prices)


def _start(session: Session, lease: Lease, wanted: Wanted, parent: Any, version: Runnable) -> Started:
    child = Execution(
        id=uuid4(),
        **_identity(lease, wanted),
        depth=parent.depth + 1,
        user_id=lease.user_id,
        workflow_id=wanted.effect.workflow_id,
        version_id=version.id,
        workflow_name=version.workflow_name,
        status=ExecutionStatus.QUEUED,
        priority=Priority(parent.priority),
        input=wanted.effect.input,
        price_list=parent.price_list,  # by which its credits were held
        credits_cap=min(version.worst_case_credits, wanted.most),
        nodes_total=version.node_count,
        last_seq=1,
        deadline_at=_earlier(parent.deadline_at, version.timeout),
        start_by=_earlier(None, version.max_queue_seconds),
    )
    session.add(child)
    session.flush()
    saved = _inherit(session, child) if lease.is_retry and wanted.attempt == 1 else None
    undriven.tell(session, child, "execution.queued", f"{child.workflow_name} is queued.", data=saved)
    cap = holds.take(session, lease.execution_id, child.id, child.credits_cap)
    return Started(child.id, _let_wait(session, lease, wanted, child), child.priority, cap)


def _inherit(session: Session, child: Execution) -> dict[str, Json] | None:
    """Take over what the child in the same place had finished when its parent ran before; answers what that saves."""
    legacy = legacies.of_child(session, child.id, child.version_id)
    if legacy is None:
        return None
    child.retry_of = legacy.run
    session.flush()
    legacies.hand_down(session, legacy, child.id)
    saved = {"nodes": len(legacy.kept), "credits": float(legacy.credits)}
    return {"retryOf": str(legacy.run), "saved": saved}


def _let_wait(session: Session, lease: Lease, wanted: Wanted, child: Execution) -> dict[str, Json]:
    reference = {
        "type": "subworkflow",
        "message": f"Waits for {child.workflow_name}.",
        "childExecutionId": str(child.id),
        "workflowId": str(child.workflow_id),
        "until": wanted.until.isoformat() if wanted.until else None,
    }
    kept = {"attempt": wanted.attempt, "reference": orjson.dumps(reference).decode(), "started": wanted.started_at}
    session.execute(_WAIT, _place(lease, wanted.step) | kept)
    return reference


def _identity(lease: Lease, wanted: Wanted) -> dict[str, Any]:
    return {
        "parent_execution_id": lease.execution_id,
        "parent_node_id": wanted.step.node_id,
        "parent_path": wanted.step.path,
        "parent_attempt": wanted.attempt,
    }


def _place(lease: Lease, step: Step) -> dict[str, Any]:
    return {"execution": lease.execution_id, "node": step.node_id, "path": step.path}


def _earlier(moment: datetime | None, seconds: int | None) -> Any:
    """That moment, or so many seconds from now if that is earlier; None for neither."""
    if seconds is None:
        return moment
    later = func.now() + timedelta(seconds=seconds)
    return later if moment is None else func.least(later, moment)
