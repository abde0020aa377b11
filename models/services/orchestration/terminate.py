"""Ends runs without a driver: closes their nodes, adds the last event, settles the hold, and updates the tree.

The caller holds the row's lock, and knows that no lease on it is valid or that it is the holder.
"""

from typing import Any

from sqlalchemy import extract, func, insert, select, update
from sqlalchemy.orm import Session

from models.changes import notify_changed
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.rules.prices.charging import is_ours
from models.serialization import Json
from models.services.credits import ledger
from models.services.orchestration import execution_tree, run_notifications
from models.tables import Execution, ExecutionEvent, NodeExecution

_ADD_EVENT = insert(ExecutionEvent)  # built once, because building a statement costs more than executing it


def end(
    session: Session, execution: Execution, status: ExecutionStatus, message: str, *, error: Json = None, **more: Any
) -> None:
    """End a run as `status`, cancelled or failed; `more` sets further columns.

    Finished nodes stay charged, and so are nodes whose requests were sent, unless `error` is the fault of this service.
    """
    execution_tree.close_nodes(session, [execution.id], charged=not is_ours(error))
    change(
        session,
        execution,
        status=status,
        error=error,
        finished_at=func.clock_timestamp(),
        last_seq=Execution.last_seq + 1,
        epoch=Execution.epoch + 1,  # an earlier driver writes nothing more
        wake_at=None,
        waiting_for=None,
        lease_owner=None,
        lease_expires_at=None,
        **more,
    )
    level = "error" if status is ExecutionStatus.FAILED else "info"
    add_event(session, execution, f"execution.{status}", message, level=level, data=error)
    ledger.settle(session, execution.id, execution.credits_charged)
    execution_tree.ended(session, [execution.id])
    if status is ExecutionStatus.FAILED and not execution.depth:  # a cancellation was requested by the owner
        _notify_owner(session, execution)


def has_agent_turns(session: Session, execution: Execution) -> bool:
    """Whether the run has agent turns at the OpenClaw gateway, which only a worker can stop."""
    turns = select(NodeExecution.node_id).where(
        NodeExecution.execution_id == execution.id,
        NodeExecution.status == NodeStatus.RUNNING,
        NodeExecution.external_ref.has_key("sessionKey"),
    )
    return session.scalar(select(turns.exists())) or False


def leave_to_driver(session: Session, execution: Execution, **more: Any) -> None:
    """Let the next driver end the run and stop its agent turns at the gateway; `more` sets further columns."""
    change(
        session,
        execution,
        status=ExecutionStatus.CANCELLING,
        lease_expires_at=func.clock_timestamp(),
        **more,
    )


def change(session: Session, execution: Execution, **values: Any) -> None:
    """Set columns of the run and refresh `execution`."""
    changed = update(Execution).where(Execution.id == execution.id).values(**values).returning(Execution)
    notify_changed(session, execution.id)
    session.scalars(changed, execution_options={"populate_existing": True}).one()


def add_event(
    session: Session, execution: Execution, kind: str, message: str, *, level: str = "info", data: Json = None
) -> None:
    """Add an event with the run's `last_seq`, which the caller has raised; drivers number events themselves."""
    values = {"type": kind, "level": level, "message": message, "data": data}
    session.execute(_ADD_EVENT, {"execution_id": execution.id, "seq": execution.last_seq, **values})


def _notify_owner(session: Session, execution: Execution) -> None:
    """Notify the owner of the failure; the time in the queue counts as part of the run's duration."""
    columns = select(
        Execution.id,
        Execution.user_id,
        Execution.workflow_name,
        Execution.credits_charged,
        extract("epoch", Execution.finished_at - Execution.created_at).label("seconds"),
    )
    row = session.execute(columns.where(Execution.id == execution.id)).one()
    run_notifications.ended(session, row, execution.status, execution.error)
    if execution.credits_charged:
        run_notifications.paid(session, {execution.user_id})
