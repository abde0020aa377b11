"""Prunes the history of runs by age, as long as their owners' tiers keep it. Receipts and the ledger stay.

A run that is old enough expires: its receipt is put aside, and from that moment on its owner sees nothing else of it.
Its rows are removed afterwards, so that no statement is long however large a run was. Both go in small batches, and
rows that others hold are left for the next time, so nobody waits for the broom. A run that cannot expire is logged and
left for an hour.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

import orjson
import structlog
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Uuid

from models.execution import Execution
from models.receipt import Receipt
from models.rules.pricing import PLANS
from models.services import receipts, storage

log = structlog.get_logger()

RUNS = 50  # in one transaction
ROWS = 1000  # of one table, in one transaction

_SHORTEST = min(plan.history_days for plan in PLANS.values())
_DAYS = orjson.dumps({tier.value: plan.history_days for tier, plan in PLANS.items()}).decode()
_IDS = bindparam("ids", type_=ARRAY(Uuid()))

# Those that no tier keeps unasked, and those that were looked at before. Each reads its own index from the old end.
_AGED = text("""
    SELECT id FROM workflow_executions
     WHERE finished_at < now() - make_interval(days => :shortest) AND kept_until IS NULL AND expired_at IS NULL
     ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_DUE = text("""
    SELECT id FROM workflow_executions
     WHERE finished_at IS NOT NULL AND kept_until < now() AND expired_at IS NULL
     ORDER BY kept_until LIMIT :limit FOR UPDATE SKIP LOCKED
""")

_BUSY = text("""
    WITH RECURSIVE below AS (
        SELECT parent_execution_id AS top, id, finished_at
          FROM workflow_executions WHERE parent_execution_id = ANY(:ids)
         UNION ALL
        SELECT b.top, c.id, c.finished_at FROM below b JOIN workflow_executions c ON c.parent_execution_id = b.id
    )
    SELECT DISTINCT top FROM below WHERE finished_at IS NULL
""").bindparams(_IDS)

# Families go from the top down: what a parent's receipt says of its children is read from them.
_KEEP = text("""
    WITH judged AS (
        SELECT e.id, e.finished_at + make_interval(days => CAST(CAST(:days AS jsonb)->>u.subscription_tier AS int))
                     AS promised,
               e.id = ANY(:busy)
               OR EXISTS (SELECT FROM credit_holds h WHERE h.execution_id = e.id AND h.status = 'held')
               OR EXISTS (SELECT FROM quarantined_runs q WHERE q.execution_id = e.id AND q.retried_as IS NULL)
               OR EXISTS (SELECT FROM workflow_executions p
                           WHERE p.id = e.parent_execution_id AND p.expired_at IS NULL) AS needed
          FROM workflow_executions e JOIN users u ON u.id = e.user_id WHERE e.id = ANY(:ids)
    )
    UPDATE workflow_executions e
       SET kept_until = CASE WHEN j.promised > now() THEN j.promised ELSE now() + interval '1 hour' END
      FROM judged j WHERE e.id = j.id AND (j.promised > now() OR j.needed)
 RETURNING e.id
""").bindparams(_IDS, bindparam("busy", type_=ARRAY(Uuid())))
_EXPIRE = text("UPDATE workflow_executions SET expired_at = now() WHERE id = ANY(:ids)").bindparams(_IDS)
_LATER = text("""
    UPDATE workflow_executions SET kept_until = now() + interval '1 hour' WHERE id = ANY(:ids)
""").bindparams(_IDS)

_EXPIRED = text("""
    SELECT id FROM workflow_executions WHERE expired_at IS NOT NULL
     ORDER BY expired_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_EVENTS = text("""
    DELETE FROM execution_events WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM execution_events WHERE execution_id = ANY(:ids) LIMIT :limit))
 RETURNING 1
""").bindparams(_IDS)
_NODES = text("""
    DELETE FROM node_executions WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM node_executions WHERE execution_id = ANY(:ids) LIMIT :limit))
 RETURNING 1
""").bindparams(_IDS)
_EMPTY = text("""
    DELETE FROM workflow_executions e
     WHERE id = ANY(:ids)
       AND NOT EXISTS (SELECT FROM execution_events v WHERE v.execution_id = e.id)
       AND NOT EXISTS (SELECT FROM node_executions n WHERE n.execution_id = e.id)
 RETURNING 1
""").bindparams(_IDS)


def expire(session: Session, *, limit: int = RUNS) -> int:
    """Look at the oldest runs that may be due, at most `limit`: put their receipts aside, or note until when they stay.

    Answers how many it looked at; none means that nothing is due now.
    """
    found = list(session.scalars(_AGED, {"shortest": _SHORTEST, "limit": limit}))
    found += session.scalars(_DUE, {"limit": limit - len(found)})
    if found:
        busy = list(session.scalars(_BUSY, {"ids": found}))
        kept = set(session.scalars(_KEEP, {"ids": found, "busy": busy, "days": _DAYS}))
        if going := [execution_id for execution_id in found if execution_id not in kept]:
            _expire(session, going)
    return len(found)


def clear(session: Session, *, runs: int = RUNS, rows: int = ROWS) -> int:
    """Remove rows of expired runs: at most `rows` events, as many nodes, and runs of which nothing else is left.

    Answers how many rows went; none means that nothing is left to remove, or that somebody else is at it.
    """
    ids = session.scalars(_EXPIRED, {"limit": runs}).all()
    if not ids:
        return 0
    batch = {"ids": ids, "limit": rows}
    removed = sum(len(session.execute(statement, batch).all()) for statement in (_EVENTS, _NODES))
    return removed + len(session.execute(_EMPTY, {"ids": ids}).all())


def _expire(session: Session, ids: Sequence[UUID]) -> None:
    """All at once, or else one by one, so that one that cannot expire keeps no other from it, now or the next time."""
    try:
        with session.begin_nested():
            _put_aside(session, ids)
            session.execute(_EXPIRE, {"ids": ids})
    except Exception:
        if len(ids) > 1:
            for execution_id in ids:
                _expire(session, [execution_id])
            return
        log.exception("execution.not_expired", execution_id=str(ids[0]))
        session.execute(_LATER, {"ids": ids})


def _put_aside(session: Session, ids: Collection[UUID]) -> None:
    runs = session.scalars(select(Execution).where(Execution.id.in_(ids))).all()
    for run in runs:
        session.add(
            Receipt(
                execution_id=run.id,
                user_id=run.user_id,
                workflow_id=run.workflow_id,
                workflow_name=run.workflow_name,
                status=run.status,
                nodes_executed=run.nodes_executed,
                credits_charged=run.credits_charged,
                created_at=run.created_at,
                started_at=run.started_at,
                finished_at=run.finished_at,
                document=receipts.as_stored(receipts.receipt(session, run)),
            )
        )
    session.flush()
    storage.freed(session, {run.user_id for run in runs})
