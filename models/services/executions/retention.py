"""Prunes the history of runs by age, depending on the owner's tier. Receipts and the ledger stay.

A run that is old enough, or whose workflow was deleted, expires: its receipt is stored, and from then on its owner sees
nothing else of it. Its rows are removed afterwards in small batches, so that no statement is long even for a large
run. Locked rows are skipped until the next time, so pruning blocks no other work. A run that cannot expire is logged
and tried again after an hour.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

import structlog
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Uuid

from models.rules.prices.pricing import PLANS
from models.serialization import to_json
from models.services.credits import storage
from models.services.executions import receipts
from models.tables import UNDO_DELETION, Execution, Receipt

log = structlog.get_logger()

RUNS = 50  # in one transaction
WORKFLOWS = 10  # in one transaction
ROWS = 1000  # of one table, in one transaction

_MIN_DAYS = min(plan.history_days for plan in PLANS.values())
_DAYS = to_json({tier.value: plan.history_days for tier, plan in PLANS.items()})
_IDS = bindparam("ids", type_=ARRAY(Uuid()))

# Runs that are older than the shortest retention, and runs whose `kept_until` has passed; each has its own index.
_AGED = text("""
    SELECT id FROM workflow_executions
     WHERE finished_at < now() - make_interval(days => :shortest) AND kept_until IS NULL AND expired_at IS NULL
     ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")
_DUE = text("""
    SELECT id FROM workflow_executions
     WHERE finished_at IS NOT NULL AND kept_until <= now() AND expired_at IS NULL
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

# Runs of deleted workflows expire early, once they have ended and the deletion cannot be undone any more. Runs that are
# still needed are checked again within the hour.
_DELETED = text("""
    SELECT id FROM workflows WHERE deleted_at <= now() - :undo AND history_removed_at IS NULL
     ORDER BY deleted_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")
# One that is locked is being handled, by a transaction that may need the workflow, and is deleted the next time.
_SCHEDULES = text("""
    DELETE FROM workflow_schedules WHERE id = ANY(ARRAY(
        SELECT id FROM workflow_schedules WHERE workflow_id = ANY(:ids) FOR UPDATE SKIP LOCKED))
""").bindparams(_IDS)
_HASTEN = text("""
    WITH due AS MATERIALIZED (
        SELECT id FROM workflow_executions
         WHERE workflow_id = ANY(:ids) AND finished_at IS NOT NULL AND expired_at IS NULL
           AND (kept_until IS NULL OR kept_until > now() + interval '1 hour')
         LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE workflow_executions e SET kept_until = now() FROM due WHERE e.id = due.id
 RETURNING 1
""").bindparams(_IDS)
_REMOVED = text("""
    UPDATE workflows w SET history_removed_at = now()
     WHERE w.id = ANY(:ids)
       AND NOT EXISTS (SELECT FROM workflow_schedules s WHERE s.workflow_id = w.id)
       AND NOT EXISTS (SELECT FROM workflow_executions e
                        WHERE e.workflow_id = w.id AND e.expired_at IS NULL
                          AND (e.finished_at IS NULL OR e.kept_until IS NULL
                               OR e.kept_until > now() + interval '1 hour'))
""").bindparams(_IDS)

# Execution trees expire from the top down, because a parent's receipt includes its children.
_KEEP = text("""
    WITH judged AS (
        SELECT e.id,
               CASE WHEN w.deleted_at IS NULL OR w.deleted_at > now() - :undo
                    THEN e.finished_at + make_interval(days => CAST(CAST(:days AS jsonb)->>u.subscription_tier AS int))
                    ELSE now() END AS promised,
               e.id = ANY(:busy)
               OR EXISTS (SELECT FROM credit_holds h WHERE h.execution_id = e.id AND h.status = 'held')
               OR EXISTS (SELECT FROM quarantined_runs q WHERE q.execution_id = e.id AND q.retried_as IS NULL)
               OR EXISTS (SELECT FROM workflow_executions p
                           WHERE p.id = e.parent_execution_id AND p.expired_at IS NULL) AS needed
          FROM workflow_executions e JOIN users u ON u.id = e.user_id JOIN workflows w ON w.id = e.workflow_id
         WHERE e.id = ANY(:ids)
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


def hasten(session: Session, *, limit: int = ROWS) -> int:
    """Make at most `limit` runs of deleted workflows due, and delete their schedules; returns how many runs."""
    workflows = session.scalars(_DELETED, {"limit": WORKFLOWS, "undo": UNDO_DELETION}).all()
    if not workflows:
        return 0
    session.execute(_SCHEDULES, {"ids": workflows})
    found = len(session.execute(_HASTEN, {"ids": workflows, "limit": limit}).all())
    session.execute(_REMOVED, {"ids": workflows})
    return found


def expire(session: Session, *, limit: int = RUNS) -> int:
    """Check at most `limit` of the oldest runs that may be due: expire them, or record until when they are kept.

    Returns how many were checked; 0 means that nothing is due now.
    """
    found = list(session.scalars(_AGED, {"shortest": _MIN_DAYS, "limit": limit}))
    found += session.scalars(_DUE, {"limit": limit - len(found)})
    if found:
        busy = list(session.scalars(_BUSY, {"ids": found}))
        kept = set(session.scalars(_KEEP, {"ids": found, "busy": busy, "days": _DAYS, "undo": UNDO_DELETION}))
        if expired := [execution_id for execution_id in found if execution_id not in kept]:
            _expire(session, expired)
    return len(found)


def clear(session: Session, *, runs: int = RUNS, rows: int = ROWS) -> int:
    """Remove rows of expired runs: at most `rows` events and as many nodes, and runs without either.

    Returns how many rows were removed; 0 means that none are left, or that another process removes them.
    """
    ids = session.scalars(_EXPIRED, {"limit": runs}).all()
    if not ids:
        return 0
    batch = {"ids": ids, "limit": rows}
    removed = sum(len(session.execute(statement, batch).all()) for statement in (_EVENTS, _NODES))
    return removed + len(session.execute(_EMPTY, {"ids": ids}).all())


def _expire(session: Session, ids: Sequence[UUID]) -> None:
    """Expire runs together or, if that fails, one by one, so that a run that cannot expire does not block others."""
    try:
        with session.begin_nested():
            _store_receipts(session, ids)
            session.execute(_EXPIRE, {"ids": ids})
    except Exception:
        if len(ids) > 1:
            for execution_id in ids:
                _expire(session, [execution_id])
            return
        log.exception("execution.expire_failed", execution_id=str(ids[0]))
        session.execute(_LATER, {"ids": ids})


def _store_receipts(session: Session, ids: Collection[UUID]) -> None:
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
                tried_node_id=run.tried_node_id,
                document=receipts.as_stored(receipts.receipt(session, run)),
            )
        )
    session.flush()
    storage.freed(session, {run.user_id for run in runs})
