"""Execution trees: runs and their child runs, and the effects of the end of a run on the others.

The end of a parent stops its children. The end of a child delivers its result to the step that waits for it, and
refunds its unspent credits to the nearest ancestor that has not ended. Both happen in the transaction that ends the
run. Rows of a tree are locked from the top down, everywhere.
"""

from collections.abc import Collection
from decimal import Decimal
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Uuid

from models.changes import notify_changed
from models.services.credits import ledger
from models.services.orchestration import holds

_IDS = bindparam("ids", type_=ARRAY(Uuid()))

# Selects by an array, because with a sub-select the planner may read the whole table.
_LOCK = text("""
    WITH RECURSIVE below AS (
        SELECT id FROM workflow_executions WHERE id = ANY(:ending)
         UNION ALL
        SELECT c.id FROM below b JOIN workflow_executions c ON c.parent_execution_id = b.id AND c.finished_at IS NULL
    ), above AS (
        SELECT parent_execution_id AS id FROM workflow_executions WHERE id = ANY(:ending)
         UNION
        SELECT p.parent_execution_id FROM above a JOIN workflow_executions p ON p.id = a.id
    )
    SELECT id FROM workflow_executions
     WHERE id = ANY(ARRAY(SELECT id FROM below UNION SELECT id FROM above UNION SELECT unnest(:ids)))
       AND user_id = coalesce(CAST(:owner AS uuid), user_id)
     ORDER BY depth, id FOR UPDATE
""").bindparams(_IDS, bindparam("ending", type_=ARRAY(Uuid())))

_LOCK_ONLY = text("""
    SELECT id FROM workflow_executions WHERE id = ANY(:ids) ORDER BY depth, id FOR UPDATE
""").bindparams(_IDS)

_BELOW = text("""
    WITH RECURSIVE below AS (
        SELECT id FROM workflow_executions WHERE parent_execution_id = ANY(:ids) AND finished_at IS NULL
         UNION ALL
        SELECT c.id FROM below b JOIN workflow_executions c ON c.parent_execution_id = b.id AND c.finished_at IS NULL
    )
    SELECT id FROM below
""").bindparams(_IDS)

_REQUEST_CANCEL = text("""
    UPDATE workflow_executions
       SET status = 'cancelling', cancel_requested_at = coalesce(cancel_requested_at, now()), updated_at = now()
     WHERE id = ANY(:ids) AND status = 'running'
""").bindparams(_IDS)

# These have no driver, but agent turns at the OpenClaw gateway, which only a worker can stop.
_LEAVE_TO_DRIVERS = text("""
    UPDATE workflow_executions e
       SET status = 'cancelling', cancel_requested_at = coalesce(cancel_requested_at, now()), updated_at = now(),
           lease_expires_at = clock_timestamp()
     WHERE id = ANY(:ids) AND status IN ('queued', 'waiting')
       AND EXISTS (SELECT FROM node_executions n
                    WHERE n.execution_id = e.id AND n.status = 'running' AND n.external_ref ? 'sessionKey')
""").bindparams(_IDS)

_END_UNDRIVEN = text("""
    UPDATE workflow_executions
       SET status = 'cancelled', cancel_requested_at = coalesce(cancel_requested_at, now()),
           finished_at = clock_timestamp(), updated_at = now(), last_seq = last_seq + 1, epoch = epoch + 1,
           wake_at = NULL, waiting_for = NULL, deferred_at = NULL, lease_owner = NULL, lease_expires_at = NULL
     WHERE id = ANY(:ids) AND status IN ('queued', 'waiting')
 RETURNING id, credits_charged
""").bindparams(_IDS)

# A node whose request was sent is charged, as when a driver abandons it.
_CLOSE_NODES = text("""
    WITH closed AS (
        UPDATE node_executions
           SET status = 'cancelled', finished_at = clock_timestamp(), credits_due = 0,
               credits = CASE WHEN :charged THEN credits_due ELSE 0 END
         WHERE execution_id = ANY(:ids) AND status IN ('pending', 'running', 'waiting')
     RETURNING execution_id, credits
    ), due AS (
        SELECT execution_id, sum(credits) AS credits FROM closed GROUP BY execution_id HAVING sum(credits) > 0
    )
    UPDATE workflow_executions e SET credits_charged = e.credits_charged + due.credits
      FROM due WHERE e.id = due.execution_id
 RETURNING e.id, e.credits_charged
""").bindparams(_IDS)

_RECORD_CANCELLED = text("""
    INSERT INTO execution_events (execution_id, seq, type, message)
    SELECT id, last_seq, 'execution.cancelled', 'Cancelled with the run that started this one.'
      FROM workflow_executions WHERE id = ANY(:ids)
""").bindparams(_IDS)

_DELIVER_RESULT = text("""
    WITH answered AS (
        UPDATE node_executions n
           SET external_ref = n.external_ref || jsonb_build_object('answer', jsonb_build_object(
                   'status', c.status, 'output', c.output, 'error', c.error))
          FROM workflow_executions c
         WHERE c.id = ANY(:ids) AND c.finished_at IS NOT NULL AND n.execution_id = c.parent_execution_id
           AND n.node_id = c.parent_node_id AND n.path = c.parent_path AND n.status = 'waiting'
           AND n.external_ref->>'childExecutionId' = c.id::text
     RETURNING n.execution_id
    )
    UPDATE workflow_executions SET wake_at = now(), updated_at = now()
     WHERE id = ANY(ARRAY(SELECT execution_id FROM answered)) AND status IN ('running', 'waiting')
""").bindparams(_IDS)


def lock(
    session: Session, ids: Collection[UUID] = (), *, ending: Collection[UUID] = (), owner: UUID | None = None
) -> None:
    """Lock the runs in `ids`, and those in `ending` with their ancestors and unfinished descendants, top down.

    With `owner`, only runs of that user are locked.
    """
    if ending:
        session.execute(_LOCK, {"ids": list(ids), "ending": list(ending), "owner": owner})
    else:
        session.execute(_LOCK_ONLY, {"ids": list(ids)})


def ended(session: Session, ids: Collection[UUID]) -> None:
    """Apply the end of runs whose holds are settled: stop children, refund credits, deliver results to parents."""
    stop_below(session, ids)
    holds.refund_to_ancestor(session, ids)
    deliver_child_result(session, ids)


def deliver_child_result(session: Session, ids: Collection[UUID]) -> None:
    """Deliver the results of these runs to the steps that wait for them; unfinished runs are skipped."""
    session.execute(_DELIVER_RESULT, {"ids": list(ids)})


def close_nodes(session: Session, ids: Collection[UUID], *, charged: bool = True) -> dict[UUID, Decimal]:
    """Mark the open nodes of ended runs as cancelled.

    With `charged`, nodes whose requests were sent are charged. Returns the total charge of each run with such nodes.
    """
    rows = session.execute(_CLOSE_NODES, {"ids": list(ids), "charged": charged})
    return {row.id: row.credits_charged for row in rows}


def stop_below(session: Session, ids: Collection[UUID]) -> None:
    """Stop all runs below these runs."""
    stop(session, session.scalars(_BELOW, {"ids": list(ids)}).all())


def stop(session: Session, ids: Collection[UUID]) -> None:
    """Stop runs: those without a driver at once, the others through their drivers."""
    if not ids:
        return
    session.execute(_REQUEST_CANCEL, {"ids": list(ids)})
    session.execute(_LEAVE_TO_DRIVERS, {"ids": list(ids)})
    notify_changed(session, *ids)
    rows = session.execute(_END_UNDRIVEN, {"ids": list(ids)})
    charged = {row.id: row.credits_charged for row in rows}
    if charged:
        cancelled = list(charged)
        charged |= close_nodes(session, cancelled)
        session.execute(_RECORD_CANCELLED, {"ids": cancelled})
        ledger.settle_many(session, charged)
        ended(session, charged)
