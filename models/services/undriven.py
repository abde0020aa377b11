"""Ends runs that nobody drives: their nodes, their last event, their hold, and what it means for their family.

The caller holds the row's lock, and knows that no lease on it is valid or that it is the holder.
"""

from typing import Any

from sqlalchemy import extract, func, insert, select, update
from sqlalchemy.orm import Session

from models.base import Json
from models.changes import announce
from models.execution import Execution, ExecutionEvent, NodeExecution
from models.rules.pricing import price_list
from models.rules.states import ExecutionStatus, NodeStatus
from models.services import credits, families, run_news

_TELL = insert(ExecutionEvent)  # made once: putting a statement together costs more than running it


def end(
    session: Session, execution: Execution, status: ExecutionStatus, message: str, *, error: Json = None, **more: Any
) -> None:
    """End a run as `status`, cancelled or failed, with what it finished kept and paid for; `more` sets columns."""
    charged = execution.credits_charged
    if charged:  # the run itself is charged once it is over, if any of its nodes was
        charged = min(charged + price_list(execution.price_list).fee, execution.credits_cap)
    change(
        session,
        execution,
        status=status,
        error=error,
        finished_at=func.clock_timestamp(),
        credits_charged=charged,
        last_seq=Execution.last_seq + 1,
        epoch=Execution.epoch + 1,  # whoever drove it once writes nothing more
        wake_at=None,
        waiting_for=None,
        lease_owner=None,
        lease_expires_at=None,
        **more,
    )
    families.close_nodes(session, [execution.id])
    level = "error" if status is ExecutionStatus.FAILED else "info"
    tell(session, execution, f"execution.{status}", message, level=level, data=error)
    credits.settle(session, execution.id, charged)
    families.ended(session, [execution.id])
    if status is ExecutionStatus.FAILED and not execution.depth:  # whoever cancels a run knows of it
        _send_news(session, execution)


def leaves_turns(session: Session, execution: Execution) -> bool:
    """Whether turns of an agent go on in the gateway, where only a worker can stop them."""
    mine = select(NodeExecution.node_id).where(
        NodeExecution.execution_id == execution.id,
        NodeExecution.status == NodeStatus.RUNNING,
        NodeExecution.external_ref.has_key("sessionKey"),
    )
    return session.scalar(select(mine.exists())) or False


def leave_to_driver(session: Session, execution: Execution, **more: Any) -> None:
    """Let the next driver end the run, and what its last one left in the gateway; `more` sets columns."""
    change(
        session,
        execution,
        status=ExecutionStatus.CANCELLING,
        lease_expires_at=func.clock_timestamp(),
        crashes=Execution.crashes - 1,  # the next claim counts one, and there was none
        **more,
    )


def change(session: Session, execution: Execution, **values: Any) -> None:
    """Write columns, and read the row back as the database has it now."""
    changed = update(Execution).where(Execution.id == execution.id).values(**values).returning(Execution)
    announce(session, execution.id)
    session.scalars(changed, execution_options={"populate_existing": True}).one()


def tell(
    session: Session, execution: Execution, kind: str, message: str, *, level: str = "info", data: Json = None
) -> None:
    """Add the event that made `last_seq` what it is; a driver counts its own."""
    values = {"type": kind, "level": level, "message": message, "data": data}
    session.execute(_TELL, {"execution_id": execution.id, "seq": execution.last_seq, **values})


def _send_news(session: Session, execution: Execution) -> None:
    """Its time in the queue counts: nobody looks at a run that long."""
    facts = select(
        Execution.id,
        Execution.user_id,
        Execution.workflow_name,
        Execution.credits_charged,
        extract("epoch", Execution.finished_at - Execution.created_at).label("seconds"),
    )
    row = session.execute(facts.where(Execution.id == execution.id)).one()
    run_news.ended(session, row, execution.status, execution.error)
    if execution.credits_charged:
        run_news.paid(session, {execution.user_id})
