"""Leases of executions: claim, renew, release. The database's clock decides when a lease has expired.

Every claim raises the execution's epoch, the fencing token of the lease. A driver writes only with its own epoch, so
one that was suspended and continues after another driver's claim changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.changes import notify_changed, publish_changed
from models.raw_statement import PreparedStatement, RawStatement
from models.rules.executions.schedule import Step
from models.rules.executions.states import CrashState, NodeStatus
from models.rules.prices.pricing import PLANS, Tier
from models.serialization import Json, to_json

_LOCK_OWNER = RawStatement("""
    SELECT pg_advisory_xact_lock(hashtextextended('runs:' || user_id::text, 0))
      FROM workflow_executions WHERE id = :id
""")

_DEFER = text("""
    UPDATE workflow_executions SET deferred_at = now(), updated_at = now()
     WHERE id = :id AND (status = 'queued' OR (status = 'waiting' AND wake_at <= now()))
""")

# The number of runs of the owner `u` that hold a slot. Slots are counted from rows, so that none can leak.
DRIVEN_RUNS = """(SELECT count(*) FROM workflow_executions r
                   WHERE r.user_id = u.id AND r.status IN ('running', 'cancelling'))"""

# The columns of a `Lease`, in the order of its fields.
GRANTED = """
    e.id, e.epoch, e.user_id, e.workflow_id, e.version_id, e.workflow_name, e.input, e.price_list, e.credits_cap,
    e.credits_charged, e.nodes_executed, e.last_seq, e.started_at, coalesce(jsonb_array_length(e.crash_log), 0),
    num_nonnulls(e.retry_of, e.tried_node_id) > 0, e.cancel_requested_at IS NOT NULL, e.deadline_at, clock_timestamp(),
    e.depth, e.stored_bytes, e.fuel_spent, e.request_id, e.traceparent,
    coalesce((e.crash_log->-1->>'epoch')::int = e.epoch - 1, false),
    (SELECT owner.subscription_tier FROM users owner WHERE owner.id = e.user_id), e.crash_state
"""

_CLAIM = PreparedStatement(
    """
    UPDATE workflow_executions e
       SET status = CASE WHEN e.cancel_requested_at IS NULL THEN 'running' ELSE 'cancelling' END,
           epoch = e.epoch + 1,
           lease_owner = :owner,
           lease_expires_at = now() + make_interval(secs => :seconds),
           -- The owner is still set only if its driver vanished.
           crash_state = CASE WHEN e.lease_owner IS NULL THEN e.crash_state
                              WHEN e.crash_state = 'clear' THEN 'suspected'
                              WHEN e.crash_state = 'suspected' THEN 'isolated' ELSE e.crash_state END,
           crash_log = CASE WHEN e.lease_owner IS NULL THEN e.crash_log
                            ELSE coalesce(e.crash_log, '[]') || jsonb_build_object(
                                     'worker', e.lease_owner, 'epoch', e.epoch,
                                     'at', to_char(e.lease_expires_at AT TIME ZONE 'UTC',
                                                   'YYYY-MM-DD"T"HH24:MI:SS"Z"')) END,
           started_at = coalesce(e.started_at, now()), start_by = NULL,
           wake_at = NULL, waiting_for = NULL, deferred_at = NULL, updated_at = now()
      FROM users u
     WHERE e.id = :id AND u.id = e.user_id
       AND (((e.status = 'queued' OR (e.status = 'waiting' AND e.wake_at <= now()))
             AND DRIVEN_RUNS < CAST(CAST(:room AS jsonb)->>u.subscription_tier AS numeric))
            OR (e.status IN ('running', 'cancelling') AND e.lease_expires_at < now()))
       -- A run past its deadline is not claimed, but ended by the sweep. A run with a vanished driver is claimed, so
       -- that its new driver stops what may still go on at providers.
       AND (e.status IN ('running', 'cancelling') OR (least(e.start_by, e.deadline_at) <= now()) IS NOT TRUE)
 RETURNING GRANTED
""",
    DRIVEN_RUNS=DRIVEN_RUNS,
    GRANTED=GRANTED,
)

# Locks the runs in the order of execution trees, from the top down, as every transaction does.
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

_CHECK = text("""
    SELECT e.id, e.cancel_requested_at IS NOT NULL AS cancelled, coalesce(e.wake_at <= now(), false) AS woken,
           coalesce(e.deadline_at <= now(), false) AS overdue
      FROM workflow_executions e
      JOIN jsonb_to_recordset(CAST(:mine AS jsonb)) AS mine(id uuid, epoch int) ON e.id = mine.id
     WHERE e.epoch = mine.epoch AND e.status IN ('running', 'cancelling')
""")

_RELEASE = text("""
    UPDATE workflow_executions
       SET status = CASE WHEN cancel_requested_at IS NULL THEN 'queued' ELSE status END,
           lease_owner = NULL, enqueued_at = CASE WHEN :later THEN now() END, updated_at = now(),
           lease_expires_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE now() END
     WHERE id = :id AND epoch = :epoch AND status IN ('running', 'cancelling')
""")

_HISTORY = text("""
    SELECT node_id, path, status, attempt, port, output, error, credits, external_ref, started_at, credits_due
      FROM node_executions WHERE execution_id = :id
""")


_CLEAR_WAKE = text("""
    UPDATE workflow_executions SET wake_at = NULL WHERE id = :id AND epoch = :epoch AND wake_at <= now()
""")
_CAP = text("SELECT credits_cap FROM workflow_executions WHERE id = :id")
_GRAPH = text("SELECT graph FROM workflow_versions WHERE id = :id")


# Claims that are not committed yet do not count each other. A claim without the lock therefore leaves room for as many
# of its owner's as may be made at the same time; in tiers with fewer slots, queued runs are claimed under it only.
UNCOMMITTED_CLAIMS = 50

_SLOTS = to_json({tier.value: plan.concurrent_runs for tier, plan in PLANS.items()})
_SLOTS_WITHOUT_LOCK = to_json({tier.value: plan.concurrent_runs - UNCOMMITTED_CLAIMS for tier, plan in PLANS.items()})


@dataclass(frozen=True)
class Lease:
    """The right to drive an execution, with the execution's state when it was granted, by the columns `GRANTED`."""

    execution_id: UUID
    epoch: int
    user_id: UUID
    workflow_id: UUID
    version_id: UUID
    workflow_name: str
    input: Json
    price_list: str  # by which it is charged
    cap: Decimal  # credits held for this run
    charged: Decimal  # credits
    succeeded: int  # number of nodes
    last_seq: int  # of its newest event
    started_at: datetime
    deaths: int  # how often a driver vanished without a release, since the run was submitted
    reuses_results: bool  # whether it began with results, of an ended run or pinned in a trial
    cancelled: bool
    deadline: datetime | None  # when it must have ended
    claimed_at: datetime  # by the database's clock
    depth: int  # number of runs above it
    stored_bytes: int = 0  # see `run_size`
    fuel_spent: int = 0  # by its expressions
    request_id: str | None = None  # of the request that caused the run, for logs
    traceparent: str | None = None  # the span that caused the run
    is_recovered: bool = False  # whether this claim took it over from a driver that vanished
    tier: Tier = Tier.FREE  # of the owner
    crash_state: CrashState = CrashState.CLEAR

    @classmethod
    def granted(cls, row: Sequence[Any]) -> "Lease":
        """Build a lease from a row of `GRANTED`."""
        return replace(cls(*row), tier=Tier(row[-2]), crash_state=CrashState(row[-1]))


@dataclass(frozen=True)
class LeaseSignals:
    """Signals to the driver of a run: it is cancelled, past its deadline, or has new approvals or results to read."""

    cancelled: bool
    woken: bool
    overdue: bool = False


@dataclass(frozen=True)
class PastStep:
    """The journal's record of a step that an earlier driver began."""

    status: NodeStatus
    attempt: int
    port: str | None = None
    output: Json = None
    error: Json = None
    credits: Decimal = Decimal(0)
    external_ref: Json = None
    started_at: datetime | None = None
    due: Decimal = Decimal(0)  # credits to charge if it is abandoned


def claim_alone(execution_id: UUID, *, owner: str, seconds: float) -> Lease | None:
    """Claim the lease of an execution as `claim` does, in a transaction of its own without a session.

    Claims wait for others of their owner only where they may reach the limit of the tier. None leaves it to `claim` to
    find out whether the run is to be deferred.
    """
    values = {"id": execution_id, "owner": owner, "seconds": seconds}
    lease = _granted(_CLAIM.rows_alone(values | {"room": _SLOTS_WITHOUT_LOCK})) or _granted(
        _CLAIM.rows_alone(values | {"room": _SLOTS}, before=_LOCK_OWNER)
    )
    if lease:
        publish_changed({lease.execution_id})
    return lease


def claim(session: Session, execution_id: UUID, *, owner: str, seconds: float) -> Lease | None:
    """Claim the lease of an execution that waits for a driver; None if it cannot be claimed now.

    Claims of an owner wait for each other, so that the number of runs under way is exact. If it is as large as the tier
    allows, the run is marked as deferred.

    Args:
        session: the session of the transaction.
        execution_id: the execution.
        owner: the name of the worker process, for operators.
        seconds: how long the lease lasts unless it is renewed.
    """
    values = {"id": execution_id, "owner": owner, "seconds": seconds, "room": _SLOTS}
    _LOCK_OWNER.rows(session, values)
    lease = _granted(_CLAIM.rows(session, values))
    if lease is None:
        session.execute(_DEFER, values)
    else:
        notify_changed(session, lease.execution_id)
    return lease


def _granted(rows: Sequence[Sequence[Any]]) -> Lease | None:
    return Lease.granted(rows[0]) if rows else None


def renew(session: Session, leases: Sequence[tuple[UUID, int]], *, seconds: float) -> dict[UUID, LeaseSignals]:
    """Extend leases, given as (execution id, epoch), to `seconds` from now; returns signals for those still held."""
    rows = session.execute(_RENEW, {"mine": _pairs(leases), "seconds": seconds})
    return {row.id: LeaseSignals(row.cancelled, row.woken, row.overdue) for row in rows}


def check_leases(session: Session, leases: Sequence[tuple[UUID, int]]) -> dict[UUID, LeaseSignals]:
    """Return signals for the leases still held, like `renew`, without extending them."""
    rows = session.execute(_CHECK, {"mine": _pairs(leases)})
    return {row.id: LeaseSignals(row.cancelled, row.woken, row.overdue) for row in rows}


def answers(session: Session, lease: Lease) -> dict[Step, PastStep]:
    """The waiting steps of a driven run with their approvals and results; clears the signal that announced them."""
    session.execute(_CLEAR_WAKE, {"id": lease.execution_id, "epoch": lease.epoch})
    past = history(session, lease.execution_id)
    return {step: row for step, row in past.items() if row.status is NodeStatus.WAITING}


def cap(session: Session, lease: Lease) -> Decimal:
    """The current cap of a driven run in credits, which refunds of ended children raise."""
    held: Decimal = session.execute(_CAP, {"id": lease.execution_id}).scalar_one()
    return held


def release(session: Session, lease: Lease, *, later: bool = False) -> None:
    """Release the lease, so that the execution is queued again.

    With `later` it counts as just enqueued, so that the sweep does not enqueue it for a while.
    """
    session.execute(_RELEASE, {"id": lease.execution_id, "epoch": lease.epoch, "later": later})
    notify_changed(session, lease.execution_id)


def history(session: Session, execution_id: UUID) -> dict[Step, PastStep]:
    """The records of earlier drivers of this execution, by step."""
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
            row.credits_due,
        )
        for row in rows
    }


def graph(session: Session, version_id: UUID) -> Json:
    """The `{nodes, connections}` of a workflow version."""
    return session.scalar(_GRAPH, {"id": version_id})


def _pairs(leases: Sequence[tuple[UUID, int]]) -> str:
    return to_json([{"id": execution_id, "epoch": epoch} for execution_id, epoch in leases])
