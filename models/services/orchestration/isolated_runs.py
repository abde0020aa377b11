"""Leases of runs in isolation, which a worker does not drive itself because they may kill its process.

The lease is transferred to an isolated process, with a new epoch, or the run is ended. The graph and the results of the
run are not read here.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session, defer

from models.raw_statement import RawStatement
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.serialization import Json
from models.services.orchestration import execution_tree, terminate
from models.services.orchestration.leases import GRANTED, Lease
from models.tables import Execution, NodeExecution

QUARANTINED = "quarantined"  # the error code of a run that crashed its workers
ISOLATED_PREFIX = "isolated:"  # of the names of isolated processes, in leases and crash logs
DRIVEN = (ExecutionStatus.RUNNING, ExecutionStatus.CANCELLING)

_TRANSFER = RawStatement(
    """
    UPDATE workflow_executions e
       SET epoch = e.epoch + 1, lease_owner = :owner, lease_expires_at = now() + make_interval(secs => :seconds),
           crash_state = CASE WHEN :died THEN 'killed_once' ELSE e.crash_state END,
           crash_log = CASE WHEN :died THEN coalesce(e.crash_log, '[]') || jsonb_build_object(
                                'worker', e.lease_owner, 'epoch', e.epoch,
                                'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
                            ELSE e.crash_log END,
           updated_at = now()
     WHERE e.id = :id AND e.epoch = :epoch AND e.status IN ('running', 'cancelling')
       -- An isolated process that died before it took the lease over is not a crash of the run.
       AND (NOT :died OR starts_with(e.lease_owner, :prefix))
 RETURNING GRANTED
""",
    GRANTED=GRANTED,
)

# In a table of its own, because history is pruned and an administrator has to decide about these runs.
_QUARANTINE = text("""
    INSERT INTO quarantined_runs (execution_id, user_id, workflow_name, reason, crashes, submitted_at)
    SELECT id, user_id, workflow_name, error->>'message', coalesce(crash_log, '[]'), created_at
      FROM workflow_executions WHERE id = :id
    ON CONFLICT DO NOTHING
""")


def transfer_lease(
    session: Session, execution_id: UUID, epoch: int, *, owner: str, seconds: float, died: bool = False
) -> Lease | None:
    """Transfer the lease from its holder in `epoch`, which has agreed; None if that does not hold it any more.

    Args:
        session: the session of the transaction.
        execution_id: the run.
        epoch: the epoch of the current holder.
        owner: the name of the new holder, for operators.
        seconds: how long the lease lasts unless it is renewed.
        died: whether the holder was an isolated process that died, which counts as a crash although no worker died.
    """
    values = {
        "id": execution_id,
        "epoch": epoch,
        "owner": owner,
        "seconds": seconds,
        "died": died,
        "prefix": ISOLATED_PREFIX,
    }
    row = _TRANSFER.first(session, values)
    return Lease.granted(row) if row else None


def end(
    session: Session, lease: Lease, status: ExecutionStatus, message: str, error: Json = None
) -> Sequence[Json] | None:
    """End a run for the holder of `lease`.

    Returns the references of its effects under way at providers, for stopping them; None if the lease is lost.
    """
    execution_tree.lock(session, ending=[lease.execution_id])
    execution = session.scalar(
        select(Execution)
        .options(defer(Execution.input, raiseload=True), defer(Execution.output, raiseload=True))
        .where(Execution.id == lease.execution_id, Execution.epoch == lease.epoch, Execution.status.in_(DRIVEN))
        .execution_options(populate_existing=True)
    )
    if execution is None:
        return None
    under_way = session.scalars(
        select(NodeExecution.external_ref).where(
            NodeExecution.execution_id == lease.execution_id,
            NodeExecution.status == NodeStatus.RUNNING,
            NodeExecution.external_ref.is_not(None),
        )
    ).all()
    terminate.end(session, execution, status, message, error=error)
    if (error or {}).get("code") == QUARANTINED:
        session.execute(_QUARANTINE, {"id": lease.execution_id})
    return under_way
