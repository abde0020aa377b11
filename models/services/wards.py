"""What becomes of a run that its worker holds and does not drive itself, because it may kill whoever does.

It is handed on to another process, which has its own epoch, or it is ended where it stands. Nothing of its graph or of
its results is read here.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session, defer

from models.execution import Execution, NodeExecution
from models.rules.states import ExecutionStatus, NodeStatus
from models.services import families, undriven
from models.services.leases import Lease, granted

Json = Any

QUARANTINED = "quarantined"  # the error's code of a run that took its workers down
WARD = "ward:"  # how the names of wards begin, in leases and in crash logs
DRIVEN = (ExecutionStatus.RUNNING, ExecutionStatus.CANCELLING)

_ADOPT = text("""
    UPDATE workflow_executions e
       SET epoch = e.epoch + 1, lease_owner = :owner, lease_expires_at = now() + make_interval(secs => :seconds),
           suspicion = CASE WHEN :died THEN 4 ELSE e.suspicion END,
           crash_log = CASE WHEN :died THEN coalesce(e.crash_log, '[]') || jsonb_build_object(
                                'worker', e.lease_owner,
                                'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
                            ELSE e.crash_log END,
           updated_at = now()
     WHERE e.id = :id AND e.epoch = :epoch AND e.status IN ('running', 'cancelling')
       -- One that did not come so far as to take it over leaves that epoch to whoever claims the run.
       AND (NOT :died OR starts_with(e.lease_owner, :ward))
 RETURNING e.id, e.epoch, e.user_id, e.workflow_id, e.version_id, e.workflow_name, e.input, e.credits_cap,
           e.credits_charged, e.nodes_executed, e.last_seq, e.started_at, e.crashes, e.price_list,
           e.suspicion, coalesce(jsonb_array_length(e.crash_log), 0) AS deaths, e.retry_of IS NOT NULL AS is_retry,
           e.cancel_requested_at IS NOT NULL AS cancelled, e.deadline_at, e.depth, clock_timestamp() AS claimed_at
""")

# Kept apart from history, which is pruned: somebody has to look at what takes workers down.
_QUARANTINE = text("""
    INSERT INTO quarantined_runs (execution_id, user_id, workflow_name, reason, crashes, submitted_at)
    SELECT id, user_id, workflow_name, error->>'message', coalesce(crash_log, '[]'), created_at
      FROM workflow_executions WHERE id = :id
    ON CONFLICT DO NOTHING
""")


def adopt(
    session: Session, execution_id: UUID, epoch: int, *, owner: str, seconds: float, died: bool = False
) -> Lease | None:
    """Take the lease over from its holder in `epoch`, who knows of it; None when that one does not hold it any more.

    Args:
        owner: names the process, for operators.
        seconds: how long the lease lasts unless it is renewed.
        died: the holder was a ward and has died: it is noted with the crashes, though it took no worker with it.
    """
    values = {"id": execution_id, "epoch": epoch, "owner": owner, "seconds": seconds, "died": died, "ward": WARD}
    row = session.execute(_ADOPT, values).one_or_none()
    return granted(row) if row else None


def end(
    session: Session, lease: Lease, status: ExecutionStatus, message: str, error: Json = None
) -> Sequence[Json] | None:
    """End a run for its holder; answers how its effects that are under way are known outside, None when it is lost."""
    families.lock(session, ending=[lease.execution_id])
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
    undriven.end(session, execution, status, message, error=error)
    if (error or {}).get("code") == QUARANTINED:
        session.execute(_QUARANTINE, {"id": lease.execution_id})
    return under_way
