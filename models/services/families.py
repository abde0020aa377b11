"""Runs and the runs that they started: what the end of one means for the others.

A parent that ends stops all that it started. A child that ends answers the step that waits for it, and gives what it
did not spend to the nearest run above that goes on. All that happens in the transaction that ends the run. Rows of a
family are locked from the top down, by everybody.
"""

from collections.abc import Collection
from uuid import UUID

import orjson
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Uuid

from models.changes import announce
from models.rules.pricing import PRICE_LISTS
from models.services import credits, holds

_IDS = bindparam("ids", type_=ARRAY(Uuid()))

# Locking the rows of an array, because of a sub-select the planner may read the whole table.
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

_ASK_DRIVERS = text("""
    UPDATE workflow_executions
       SET status = 'cancelling', cancel_requested_at = coalesce(cancel_requested_at, now()), updated_at = now()
     WHERE id = ANY(:ids) AND status = 'running'
""").bindparams(_IDS)

# Nobody drives these, but their agents' turns go on in a gateway, where only a worker can stop them.
_LEAVE_TO_DRIVERS = text("""
    UPDATE workflow_executions e
       SET status = 'cancelling', cancel_requested_at = coalesce(cancel_requested_at, now()), updated_at = now(),
           lease_expires_at = clock_timestamp(), crashes = crashes - 1
     WHERE id = ANY(:ids) AND status IN ('queued', 'waiting')
       AND EXISTS (SELECT FROM node_executions n
                    WHERE n.execution_id = e.id AND n.status = 'running' AND n.external_ref ? 'sessionKey')
""").bindparams(_IDS)

_END_UNDRIVEN = text("""
    UPDATE workflow_executions
       SET status = 'cancelled', cancel_requested_at = coalesce(cancel_requested_at, now()),
           finished_at = clock_timestamp(), updated_at = now(), last_seq = last_seq + 1, epoch = epoch + 1,
           credits_charged = CASE WHEN credits_charged = 0 THEN 0 ELSE least(
               credits_cap,
               credits_charged + coalesce(CAST(CAST(:fees AS jsonb)->>price_list AS numeric), 0)) END,
           wake_at = NULL, waiting_for = NULL, deferred_at = NULL, lease_owner = NULL, lease_expires_at = NULL
     WHERE id = ANY(:ids) AND status IN ('queued', 'waiting')
 RETURNING id, credits_charged
""").bindparams(_IDS)

# Their calls count no longer, as those of nodes that a driver gives up.
_CLOSE_NODES = text("""
    WITH closed AS (
        UPDATE node_executions SET status = 'cancelled', finished_at = clock_timestamp()
         WHERE execution_id = ANY(:ids) AND status IN ('pending', 'running', 'waiting')
     RETURNING execution_id, node_id, path
    )
    DELETE FROM api_calls c USING closed
     WHERE (c.execution_id, c.node_id, c.path) = (closed.execution_id, closed.node_id, closed.path)
""").bindparams(_IDS)

_TELL = text("""
    INSERT INTO execution_events (execution_id, seq, type, message)
    SELECT id, last_seq, 'execution.cancelled', 'Cancelled with the run that started this one.'
      FROM workflow_executions WHERE id = ANY(:ids)
""").bindparams(_IDS)

_ANSWER = text("""
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
    """Lock `ids`, and those that are `ending` with all that are above them or run below, from the top down.

    With `owner` others' runs are left alone.
    """
    if ending:
        session.execute(_LOCK, {"ids": list(ids), "ending": list(ending), "owner": owner})
    else:
        session.execute(_LOCK_ONLY, {"ids": list(ids)})


def ended(session: Session, ids: Collection[UUID]) -> None:
    """These runs have just ended, and their holds were settled: their children are stopped, their parents go on."""
    stop_below(session, ids)
    holds.give_back(session, ids)
    answer(session, ids)


def answer(session: Session, ids: Collection[UUID]) -> None:
    """Tell the steps that wait for these runs how they ended; those that go on answer nothing."""
    session.execute(_ANSWER, {"ids": list(ids)})


def close_nodes(session: Session, ids: Collection[UUID]) -> None:
    """See to it that nothing of these runs, which are over, stays open."""
    session.execute(_CLOSE_NODES, {"ids": list(ids)})


def stop_below(session: Session, ids: Collection[UUID]) -> None:
    """Stop all that these runs started."""
    stop(session, session.scalars(_BELOW, {"ids": list(ids)}).all())


def stop(session: Session, ids: Collection[UUID]) -> None:
    """Stop runs: those that nobody drives here and now, the others as soon as their drivers hear of it."""
    if not ids:
        return
    session.execute(_ASK_DRIVERS, {"ids": list(ids)})
    session.execute(_LEAVE_TO_DRIVERS, {"ids": list(ids)})
    announce(session, *ids)
    rows = session.execute(_END_UNDRIVEN, {"ids": list(ids), "fees": _fees()})
    charged = {row.id: row.credits_charged for row in rows}
    if charged:
        over = list(charged)
        close_nodes(session, over)
        session.execute(_TELL, {"ids": over})
        credits.settle_many(session, charged)
        ended(session, charged)


def _fees() -> str:
    """What a run itself costs, by the name of its price list."""
    return orjson.dumps({name: str(prices.fee) for name, prices in PRICE_LISTS.items()}).decode()
