"""Who may drive an execution: claim, renew, hand over. The database's clock alone decides when a lease has run out.

Every claim raises the execution's epoch. A driver writes only rows of its own epoch, so one that was paused and comes
back after another took over changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from models.changes import announce
from models.rules.pricing import PLANS
from models.rules.schedule import Step
from models.rules.states import NodeStatus

Json = Any

_LOCK_OWNER = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('runs:' || user_id::text, 0))
      FROM workflow_executions WHERE id = :id
""")

_DEFER = text("""
    UPDATE workflow_executions SET deferred_at = now(), updated_at = now()
     WHERE id = :id AND (status = 'queued' OR (status = 'waiting' AND wake_at <= now()))
""")

_CLAIM = text("""
    UPDATE workflow_executions e
       SET status = CASE WHEN e.cancel_requested_at IS NULL THEN 'running' ELSE 'cancelling' END,
           epoch = e.epoch + 1,
           lease_owner = :owner,
           lease_expires_at = now() + make_interval(secs => :seconds),
           crashes = e.crashes + CASE
               WHEN e.status IN ('queued', 'waiting') THEN 0
               -- Another one was watched when that worker died: it is believed to be the cause.
               WHEN e.suspicion < 2 AND EXISTS (
                        SELECT FROM workflow_executions w
                         WHERE w.lease_expires_at IS NOT NULL AND w.id <> e.id
                           AND ((w.suspicion = 2 AND w.lease_owner = e.lease_owner)
                                OR (w.suspicion = 3 AND w.crash_log->-1->>'worker' = e.lease_owner))) THEN 0
               ELSE 1 END,
           suspicion = CASE WHEN e.status IN ('queued', 'waiting') THEN e.suspicion
                            WHEN e.suspicion >= 2 THEN greatest(e.suspicion, 3) ELSE 1 END,
           -- Whoever hands a run over takes his name off it.
           crash_log = CASE WHEN e.status IN ('running', 'cancelling') AND e.lease_owner IS NOT NULL
                            THEN coalesce(e.crash_log, '[]') || jsonb_build_object(
                                     'worker', e.lease_owner, 'at', to_char(e.lease_expires_at AT TIME ZONE 'UTC',
                                                                            'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
                            ELSE e.crash_log END,
           started_at = coalesce(e.started_at, now()), start_by = NULL,
           wake_at = NULL, waiting_for = NULL, deferred_at = NULL, updated_at = now()
      FROM users u
     WHERE e.id = :id AND u.id = e.user_id
       -- What is driven is counted from rows, so that no slot can leak.
       AND (((e.status = 'queued' OR (e.status = 'waiting' AND e.wake_at <= now()))
             AND (SELECT count(*) FROM workflow_executions r
                   WHERE r.user_id = e.user_id AND r.status IN ('running', 'cancelling'))
                 < CAST(CAST(:room AS jsonb)->>u.subscription_tier AS numeric))
            OR (e.status IN ('running', 'cancelling') AND e.lease_expires_at < now()))
       -- One that is overdue is nobody's any more: the sweep ends it. What a vanished driver left is ended by
       -- another one, because something may go on outside.
       AND (e.status IN ('running', 'cancelling') OR (least(e.start_by, e.deadline_at) <= now()) IS NOT TRUE)
 RETURNING e.id, e.epoch, e.user_id, e.workflow_id, e.version_id, e.workflow_name, e.input, e.credits_cap,
           e.credits_charged, e.nodes_executed, e.last_seq, e.started_at, e.crashes, e.price_list,
           e.suspicion, coalesce(jsonb_array_length(e.crash_log), 0) AS deaths, e.retry_of IS NOT NULL AS is_retry,
           e.cancel_requested_at IS NOT NULL AS cancelled, e.deadline_at, e.depth, clock_timestamp() AS claimed_at
""")

# Whoever writes several runs locks them in the order in which families are locked: from the top down.
_RENEW = text("""
    WITH held AS (
        SELECT e.id
          FROM workflow_executions e
          JOIN jsonb_to_recordset(CAST(:mine AS jsonb)) AS mine(id uuid, epoch int) ON e.id = mine.id
         WHERE e.epoch = mine.epoch AND e.status IN ('running', 'cancelling')
         ORDER BY e.depth, e.id FOR NO KEY UPDATE OF e
    )
    UPDATE workflow_executions e
       SET lease_expires_at = now() + make_interval(secs => :seconds)
      FROM held WHERE e.id = held.id
 RETURNING e.id, e.cancel_requested_at IS NOT NULL AS cancelled, coalesce(e.wake_at <= now(), false) AS woken,
           coalesce(e.deadline_at <= now(), false) AS overdue
""")

_LOOK = text("""
    SELECT e.id, e.cancel_requested_at IS NOT NULL AS cancelled, coalesce(e.wake_at <= now(), false) AS woken,
           coalesce(e.deadline_at <= now(), false) AS overdue
      FROM workflow_executions e
      JOIN jsonb_to_recordset(CAST(:mine AS jsonb)) AS mine(id uuid, epoch int) ON e.id = mine.id
     WHERE e.epoch = mine.epoch AND e.status IN ('running', 'cancelling')
""")

_HAND_OVER = text("""
    UPDATE workflow_executions
       SET status = CASE WHEN cancel_requested_at IS NULL THEN 'queued' ELSE status END,
           lease_owner = NULL, rung_at = CASE WHEN :later THEN now() END, updated_at = now(),
           lease_expires_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE now() END,
           crashes = crashes - CASE WHEN cancel_requested_at IS NULL THEN 0 ELSE 1 END,
           suspicion = CASE suspicion WHEN 2 THEN 1 ELSE suspicion END
     WHERE id = :id AND epoch = :epoch AND status IN ('running', 'cancelling')
""")

_HISTORY = text("""
    SELECT node_id, path, status, attempt, port, output, error, credits, external_ref, started_at
      FROM node_executions WHERE execution_id = :id
""")


_WATCH = text("UPDATE workflow_executions SET suspicion = 2 WHERE id = :id AND epoch = :epoch")
_TRUST = text("UPDATE workflow_executions SET suspicion = 0 WHERE id = :id AND epoch = :epoch AND suspicion = 2")
_HEARD = text("UPDATE workflow_executions SET wake_at = NULL WHERE id = :id AND epoch = :epoch AND wake_at <= now()")
_CAP = text("SELECT credits_cap FROM workflow_executions WHERE id = :id")
_GRAPH = text("SELECT graph FROM workflow_versions WHERE id = :id")


AT_ONCE = 50  # claims of one owner that do not see each other, because none of them is committed yet

_ROOM = orjson.dumps({tier.value: plan.concurrent_runs for tier, plan in PLANS.items()}).decode()
_AMPLE_ROOM = orjson.dumps({tier.value: plan.concurrent_runs - AT_ONCE for tier, plan in PLANS.items()}).decode()


@dataclass(frozen=True)
class Lease:
    """The right to drive one execution, and what was known of it when it was granted."""

    execution_id: UUID
    epoch: int
    user_id: UUID
    workflow_id: UUID
    version_id: UUID
    workflow_name: str
    input: Json
    price_list: str  # by which it is paid
    cap: Decimal  # credits held for this run
    charged: Decimal
    executed: int  # nodes that ran so far
    last_seq: int  # of its newest event
    started_at: datetime
    crashes: int  # how often a driver vanished without handing over, since the run last got further
    deaths: int  # the same, since it was submitted
    suspicion: int  # see `Execution.suspicion`
    is_retry: bool  # results of an ended run were taken over
    cancelled: bool
    deadline: datetime | None  # by which it must have ended
    claimed_at: datetime  # by the database's clock
    depth: int  # how many runs are above it


@dataclass(frozen=True)
class News:
    """What is wanted of a run that is driven: its end, or that it looks for answers."""

    cancelled: bool
    woken: bool
    overdue: bool = False


@dataclass(frozen=True)
class PastStep:
    """What the journal says of a step that an earlier driver began."""

    status: NodeStatus
    attempt: int
    port: str | None = None
    output: Json = None
    error: Json = None
    credits: Decimal = Decimal(0)
    external_ref: Json = None
    started_at: datetime | None = None


def claim(session: Session, execution_id: UUID, *, owner: str, seconds: float) -> Lease | None:
    """Take the lease of an execution that waits for a driver; None when there is nothing to do.

    A run whose owner has as many runs under way as the tier allows stays where it is, and is marked as deferred.

    Args:
        owner: names the worker process, for operators.
        seconds: how long the lease lasts unless it is renewed.
    """
    values = {"id": execution_id, "owner": owner, "seconds": seconds}
    row = session.execute(_CLAIM, values | {"room": _AMPLE_ROOM}).one_or_none()
    if row is None:  # near the limit the count must hold: one claim of an owner at a time
        session.execute(_LOCK_OWNER, values)
        row = session.execute(_CLAIM, values | {"room": _ROOM}).one_or_none()
    if row is None:
        session.execute(_DEFER, values)
        return None
    announce(session, row.id)
    return granted(row)


def renew(session: Session, leases: Sequence[tuple[UUID, int]], *, seconds: float) -> dict[UUID, News]:
    """Extend leases, given as (execution, epoch); answers those still held, and what happened to them."""
    rows = session.execute(_RENEW, {"mine": _pairs(leases), "seconds": seconds})
    return {row.id: News(row.cancelled, row.woken, row.overdue) for row in rows}


def look(session: Session, leases: Sequence[tuple[UUID, int]]) -> dict[UUID, News]:
    """Like `renew`, but only looks."""
    rows = session.execute(_LOOK, {"mine": _pairs(leases)})
    return {row.id: News(row.cancelled, row.woken, row.overdue) for row in rows}


def answers(session: Session, lease: Lease) -> dict[Step, PastStep]:
    """The waiting steps of a run that is driven, with what people answered; the call for attention is taken back."""
    session.execute(_HEARD, {"id": lease.execution_id, "epoch": lease.epoch})
    past = history(session, lease.execution_id)
    return {step: row for step, row in past.items() if row.status is NodeStatus.WAITING}


def watch(session: Session, lease: Lease) -> None:
    """The run is driven while no other suspect of its process begins: if the worker dies now, it is the cause."""
    session.execute(_WATCH, {"id": lease.execution_id, "epoch": lease.epoch})


def trust(session: Session, lease: Lease) -> None:
    """The run did no harm while it was watched."""
    session.execute(_TRUST, {"id": lease.execution_id, "epoch": lease.epoch})


def cap(session: Session, lease: Lease) -> Decimal:
    """The credits held for a run that is driven: children that ended gave back what they did not spend."""
    held: Decimal = session.execute(_CAP, {"id": lease.execution_id}).scalar_one()
    return held


def hand_over(session: Session, lease: Lease, *, later: bool = False) -> None:
    """Give the execution back to the queue, so that nobody waits for the lease to run out.

    With `later` it counts as rung for, so that the sweep leaves it alone for a while.
    """
    session.execute(_HAND_OVER, {"id": lease.execution_id, "epoch": lease.epoch, "later": later})
    announce(session, lease.execution_id)


def history(session: Session, execution_id: UUID) -> dict[Step, PastStep]:
    """What earlier drivers of this execution recorded, by step."""
    rows = session.execute(_HISTORY, {"id": execution_id})
    return {
        Step(row.node_id, row.path): PastStep(
            NodeStatus(row.status),
            row.attempt,
            row.port,
            row.output,
            row.error,
            row.credits,
            row.external_ref,
            row.started_at,
        )
        for row in rows
    }


def graph(session: Session, version_id: UUID) -> Json:
    """The `{nodes, connections}` of a workflow version."""
    return session.scalar(_GRAPH, {"id": version_id})


def _pairs(leases: Sequence[tuple[UUID, int]]) -> str:
    return orjson.dumps([{"id": execution_id, "epoch": epoch} for execution_id, epoch in leases]).decode()


def granted(row: Row[Any]) -> Lease:
    """The lease in a row with what a claim answers."""
    return Lease(
        execution_id=row.id,
        epoch=row.epoch,
        user_id=row.user_id,
        workflow_id=row.workflow_id,
        version_id=row.version_id,
        workflow_name=row.workflow_name,
        input=row.input,
        price_list=row.price_list,
        cap=row.credits_cap,
        charged=row.credits_charged,
        executed=row.nodes_executed,
        last_seq=row.last_seq,
        started_at=row.started_at,
        crashes=row.crashes,
        deaths=row.deaths,
        suspicion=row.suspicion,
        is_retry=row.is_retry,
        cancelled=row.cancelled,
        deadline=row.deadline_at,
        claimed_at=row.claimed_at,
        depth=row.depth,
    )
