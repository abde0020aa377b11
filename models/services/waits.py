"""Why a run is not moving: derived from rows when somebody asks, so that moving ones pay nothing for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from models.execution import Execution
from models.rules import waiting
from models.rules.graph import parse
from models.rules.pricing import PLANS, Tier
from models.rules.states import TERMINAL, ExecutionStatus
from models.rules.waiting import MOST_AHEAD, UnderWay, WaitingFor
from models.services import presence

MOST_LISTED = 20  # nodes under way that are told one by one
LATE_EVENTS = 500  # among which the last failed attempt of a node is looked for

_STANDING = text("""
    SELECT u.subscription_tier AS tier, e.lease_expires_at < now() AS vanished, e.wake_at <= now() AS due,
           (SELECT count(*) FROM workflow_executions r
             WHERE r.user_id = e.user_id AND r.status IN ('running', 'cancelling')) AS driven
      FROM workflow_executions e JOIN users u ON u.id = e.user_id WHERE e.id = :id
""")

_AHEAD = text("""
    SELECT count(*) FROM (
        SELECT FROM workflow_executions
         WHERE status = 'queued' AND priority = :priority AND deferred_at IS NULL AND (created_at, id) < (:created, :id)
         LIMIT :most) AS before
""")

_OWN_AHEAD = text("""
    SELECT count(*) FROM (
        SELECT FROM workflow_executions
         WHERE user_id = :user AND status = 'queued' AND deferred_at IS NOT NULL AND (created_at, id) < (:created, :id)
         LIMIT :most) AS before
""")

_RUNNING = text("""
    SELECT node_id, path, attempt, started_at, count(*) OVER () AS number
      FROM node_executions WHERE execution_id = :id AND status = 'running' ORDER BY started_at, node_id LIMIT :most
""")

_DRAWN = text("""
    SELECT node FROM workflow_versions, jsonb_array_elements(graph->'nodes') AS node
     WHERE id = :version AND node->>'id' = ANY(:ids)
""")

_FAILED_ATTEMPTS = text("""
    SELECT DISTINCT ON (node_id, path) node_id, path, at, (data->>'attempt')::int AS attempt,
           (data->>'delay')::float AS delay
      FROM execution_events
     WHERE execution_id = :id AND seq > :since AND type = 'node.retrying' ORDER BY node_id, path, seq DESC
""")


@dataclass(frozen=True)
class Standing:
    """What a run waits for, and its place in the queue, from 1; None where there is none."""

    waiting_for: WaitingFor | None = None
    queue_position: int | None = None


def standing(session: Session, execution: Execution) -> Standing:
    """Why `execution` is not moving; nothing for one that is over."""
    if execution.status in TERMINAL:
        return Standing()
    found = session.execute(_STANDING, {"id": execution.id}).one()
    if execution.status is ExecutionStatus.QUEUED:
        return _queued(session, execution, found)
    if execution.status is ExecutionStatus.WAITING:
        return Standing(waiting.due(execution.waiting_for) if found.due else execution.waiting_for)
    if found.vanished and execution.lease_expires_at:
        return Standing(waiting.takeover(execution.lease_expires_at))
    steps, more = _under_way(session, execution)
    if execution.status is ExecutionStatus.CANCELLING:
        return Standing(waiting.cancel(steps, more))
    told = waiting.nodes(steps, more, executed=execution.nodes_executed, total=execution.nodes_total)
    return Standing(told)


def tag(session: Session, execution: Execution) -> str:
    """A word that changes when one would want to be told although the run itself did not change.

    Asked for at every poll: it costs nothing but for those who wait in a queue.
    """
    if execution.status is ExecutionStatus.QUEUED:
        found = standing(session, execution)
        return f"{(found.waiting_for or {}).get('type')}{found.queue_position or ''}"
    now = datetime.now(UTC)
    is_due = execution.status is ExecutionStatus.WAITING and execution.wake_at is not None and execution.wake_at <= now
    has_vanished = execution.lease_expires_at is not None and execution.lease_expires_at < now
    return "due" if is_due else "vanished" if has_vanished else ""


def _queued(session: Session, execution: Execution, found: Row[Any]) -> Standing:
    place = {"created": execution.created_at, "id": execution.id, "most": MOST_AHEAD}
    if execution.deferred_at or found.driven >= PLANS[Tier(found.tier)].concurrent_runs:
        own = session.scalars(_OWN_AHEAD, place | {"user": execution.user_id}).one()
        return Standing(waiting.turn(found.driven, own))
    ahead = session.scalars(_AHEAD, place | {"priority": execution.priority}).one()
    name = f"executions.{execution.priority}"
    seen = presence.overview(session, [name])
    if seen.queues[0].workers:
        return Standing(waiting.queue(execution.priority, ahead), ahead + 1)
    last: datetime | None = max((w.heard_at for w in seen.workers if name in w.queues), default=None)
    return Standing(waiting.workers(execution.priority, last), ahead + 1)


def _under_way(session: Session, execution: Execution) -> tuple[Sequence[UnderWay], int]:
    """Steps whose effects are under way, the longest first, and how many there are besides."""
    rows = session.execute(_RUNNING, {"id": execution.id, "most": MOST_LISTED}).all()
    if not rows:
        return [], 0
    ids = sorted({row.node_id for row in rows})
    drawn = session.scalars(_DRAWN, {"version": execution.version_id, "ids": ids}).all()
    drawings = parse({"nodes": drawn, "connections": []}).nodes
    asked = {"id": execution.id, "since": execution.last_seq - LATE_EVENTS}
    failed = {(row.node_id, row.path): row for row in session.execute(_FAILED_ATTEMPTS, asked)}
    steps = [_step(row, drawings, failed.get((row.node_id, row.path))) for row in rows if row.node_id in drawings]
    return steps, rows[0].number - len(rows)


def _step(row: Row[Any], drawings: Mapping[str, Any], failed: Row[Any] | None) -> UnderWay:
    node = drawings[row.node_id]
    if failed is None or failed.attempt < row.attempt:
        return UnderWay(node, row.path, row.attempt, row.started_at)
    next_at = failed.at + timedelta(seconds=failed.delay)
    return UnderWay(node, row.path, failed.attempt + 1, row.started_at, next_at)
