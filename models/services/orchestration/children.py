"""Starts child runs for steps of a run, each once: a child is identified by its parent's step and attempt.

The child, its hold, the step's row and the parent's lower cap are written together, by the parent's driver. The child's
cap is taken from the parent's hold, so a whole tree never costs more than the cap of its topmost run.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.errors import Conflict, LeaseLost
from models.rules.executions.schedule import Step
from models.rules.executions.states import ExecutionStatus
from models.rules.graph.effects import RunWorkflow
from models.rules.lint.subworkflows import MAX_CHILDREN, MAX_DEPTH
from models.rules.prices.pricing import Priority, price_list
from models.serialization import Json, to_json
from models.services.orchestration import execution_tree, holds, result_reuse, terminate
from models.services.orchestration.leases import Lease
from models.services.orchestration.redelivery import TaskTarget
from models.services.orchestration.run_size import run_bytes
from models.services.workflows import estimates, runnable
from models.services.workflows.runnable import Runnable
from models.tables import Execution, User
from telemetry import tracing

WAITS_FOR_CHILD = "subworkflow"  # the type of the wait

_PARENT = text("""
    SELECT depth, priority, price_list, deadline_at, credits_cap, status
      FROM workflow_executions WHERE id = :id AND epoch = :epoch AND status IN ('running', 'cancelling') FOR UPDATE
""")
_SIBLINGS = text("SELECT count(*) FROM workflow_executions WHERE parent_execution_id = :id")
_WAIT = text("""
    INSERT INTO node_executions (execution_id, node_id, path, status, attempt, external_ref, started_at, credits_due)
    VALUES (:execution, :node, :path, 'waiting', :attempt, CAST(:reference AS jsonb), :started, :due)
    ON CONFLICT (execution_id, node_id, path) DO UPDATE
       SET status = 'waiting', attempt = excluded.attempt, external_ref = excluded.external_ref,
           started_at = excluded.started_at, credits_due = excluded.credits_due
""")


class TooDeep(Conflict):
    """The run is nested as deeply as is allowed."""

    code = "nested_too_deeply"

    def __init__(self) -> None:
        super().__init__(f"Workflows may be nested at most {MAX_DEPTH} deep, and this one is deeper.")


class NeedsMore(Conflict):
    """The parent's remaining credits do not cover the fee and the cheapest first node of the child."""

    code = "needs_more_credits"

    def __init__(self, least: Decimal) -> None:
        super().__init__(f"This run costs at least {least} credits.")
        self.least = least


class TooManyChildren(Conflict):
    """The run has started as many child runs as are allowed."""

    code = "too_many_subworkflows"

    def __init__(self) -> None:
        super().__init__(f"A run may start at most {MAX_CHILDREN:,} runs of other workflows, and this one has.")


@dataclass(frozen=True)
class Wanted:
    """The child run that a step wants to start.

    `max_credits` is the most that its run can reserve for it; at `until` the step stops waiting for it.
    """

    step: Step
    attempt: int
    effect: RunWorkflow
    max_credits: Decimal
    started_at: datetime
    until: datetime | None = None
    price: Decimal = Decimal(0)  # credits of the step itself, due once its run was started


@dataclass(frozen=True)
class Started:
    """A child run to enqueue, the reference for its parent's step, and the parent's cap left."""

    run: TaskTarget
    reference: dict[str, Json]
    cap: Decimal


def start(session: Session, lease: Lease, wanted: Wanted) -> Started | None:
    """Start a child of the run under `lease`, or find the one that was started before; None if that is cancelling.

    Raises:
        LeaseLost: another driver has the lease of the parent.
        TooDeep: the parent is nested too deeply.
        TooManyChildren: the parent has started too many children.
        NeedsMore: the credits do not cover the start of the child.
        ForgeError: its owner cannot run the workflow, by the errors of `runnable.newest`.
    """
    parent = session.execute(_PARENT, {"id": lease.execution_id, "epoch": lease.epoch}).one_or_none()
    if parent is None:
        raise LeaseLost
    if parent.status == ExecutionStatus.CANCELLING:
        return None
    known = session.scalar(select(Execution).filter_by(**_identity(lease, wanted)))
    if known:  # the step's row is written again, and gets the result if the child ended meanwhile
        reference = _wait_for_child(session, lease, wanted, known)
        execution_tree.deliver_child_result(session, [known.id])
        return Started(_target(known), reference, parent.credits_cap)
    if parent.depth >= MAX_DEPTH:
        raise TooDeep
    if session.scalar(_SIBLINGS, {"id": lease.execution_id}) >= MAX_CHILDREN:
        raise TooManyChildren
    owner = session.get_one(User, lease.user_id)
    version = _version(session, owner, wanted, parent)
    if wanted.max_credits < version.worst_case_credits:
        least = min(estimates.least(session, version.id, price_list(parent.price_list)), version.worst_case_credits)
        if wanted.max_credits < least:
            raise NeedsMore(least)
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
        stored_bytes=run_bytes(wanted.effect.input),
        request_id=lease.request_id,
        traceparent=tracing.traceparent() or lease.traceparent,
        price_list=parent.price_list,  # by which its credits were held
        credits_cap=min(version.worst_case_credits, wanted.max_credits),
        nodes_total=version.node_count,
        last_seq=1,
        deadline_at=_earlier(parent.deadline_at, version.timeout),
        start_by=_earlier(None, version.max_queue_seconds),
    )
    session.add(child)
    session.flush()
    saved = _inherit(session, child) if lease.reuses_results and wanted.attempt == 1 else None
    terminate.add_event(session, child, "execution.queued", f"{child.workflow_name} is queued.", data=saved)
    cap = holds.reserve_for_child(session, lease.execution_id, child.id, child.credits_cap)
    return Started(_target(child), _wait_for_child(session, lease, wanted, child), cap)


def _target(child: Execution) -> TaskTarget:
    return TaskTarget(child.id, child.priority, child.workflow_id)


def _inherit(session: Session, child: Execution) -> dict[str, Json] | None:
    """Reuse the results of the child of the same step in the retried run; returns the data for the event, or None."""
    reusable = result_reuse.reusable_results_of_child(session, child.id, child.version_id)
    if reusable is None:
        return None
    child.retry_of = reusable.run
    session.flush()
    result_reuse.copy_results(session, reusable, child.id)
    saved = {"nodes": len(reusable.kept), "credits": float(reusable.credits)}
    return {"retryOf": str(reusable.run), "saved": saved}


def _wait_for_child(session: Session, lease: Lease, wanted: Wanted, child: Execution) -> dict[str, Json]:
    message = f"Waits for {child.workflow_name}."
    reference = reference_to(child.id, child.workflow_id, message=message, until=wanted.until)
    row = {
        "attempt": wanted.attempt,
        "reference": to_json(reference),
        "started": wanted.started_at,
        "due": wanted.price,
    }
    session.execute(_WAIT, _row_key(lease, wanted.step) | row)
    return reference


def reference_to(child_id: UUID, workflow_id: UUID | None, *, message: str, until: datetime | None) -> dict[str, Json]:
    """The reference to a child run, as the step that waits for it stores it."""
    known = {"workflowId": str(workflow_id)} if workflow_id else {}
    return {
        "type": WAITS_FOR_CHILD,
        "message": message,
        "until": until.isoformat() if until else None,
        "childExecutionId": str(child_id),
        **known,
    }


def _identity(lease: Lease, wanted: Wanted) -> dict[str, Any]:
    return {
        "parent_execution_id": lease.execution_id,
        "parent_node_id": wanted.step.node_id,
        "parent_path": wanted.step.path,
        "parent_attempt": wanted.attempt,
    }


def _row_key(lease: Lease, step: Step) -> dict[str, Any]:
    return {"execution": lease.execution_id, "node": step.node_id, "path": step.path}


def _earlier(moment: datetime | None, seconds: int | None) -> Any:
    """The earlier of `moment` and `seconds` from now; None if both are None."""
    if seconds is None:
        return moment
    later = func.now() + timedelta(seconds=seconds)
    return later if moment is None else func.least(later, moment)
