"""Why a run is not moving: derived from rows when somebody asks, so that moving ones pay nothing for it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, func, select, text
from sqlalchemy.orm import Session

from models.execution import Execution
from models.plain import Plain
from models.rules import waiting
from models.rules.graph import Node, parse
from models.rules.pricing import PLANS
from models.rules.states import ExecutionStatus
from models.rules.waiting import MOST_AHEAD, UnderWay, WaitingFor
from models.services import presence

MOST_LISTED = 20  # nodes under way that are told one by one
LATE_EVENTS = 500  # among which the last failed attempt of a node is looked for

# Whether its turn has not come, and how many come before it: of its owner's runs then, or else of all in its queue;
# and who takes from that.
_PLACE = Plain(
    """
    SELECT driven, has_no_turn,
           CASE WHEN has_no_turn
                THEN (SELECT count(*) FROM (
                        SELECT FROM workflow_executions
                         WHERE user_id = :user AND status = 'queued' AND deferred_at IS NOT NULL
                           AND (created_at, id) < (:created, :id) LIMIT :most) AS own)
                ELSE (SELECT count(*) FROM (
                        SELECT FROM workflow_executions
                         WHERE status = 'queued' AND priority = :priority AND deferred_at IS NULL
                           AND (created_at, id) < (:created, :id) LIMIT :most) AS others) END AS ahead,
           taken, heard_at
      FROM (TAKERS) AS takers,
           (SELECT driven,
                   :deferred OR driven >= CAST(CAST(:turns AS jsonb)->>u.subscription_tier AS int) AS has_no_turn
              FROM users u,
                   LATERAL (SELECT count(*) AS driven FROM workflow_executions r
                             WHERE r.user_id = u.id AND r.status IN ('running', 'cancelling')) AS mine
             WHERE u.id = :user) AS turn
""",
    TAKERS=presence.TAKERS,
)
_TURNS = orjson.dumps({tier.value: plan.concurrent_runs for tier, plan in PLANS.items()}).decode()

# The longest first, each as it was drawn and with the last attempt that failed.
_UNDER_WAY = text("""
    SELECT n.*, drawn.node, failed.attempt AS failed, failed.next_at
      FROM (SELECT node_id, path, attempt, started_at, count(*) OVER () AS number,
                   CASE WHEN status = 'waiting' THEN external_ref->>'message' END AS pause
              FROM node_executions WHERE execution_id = :id AND status IN ('running', 'waiting')
             ORDER BY started_at, node_id LIMIT :most) AS n
      JOIN LATERAL (SELECT node FROM workflow_versions, jsonb_array_elements(graph->'nodes') AS node
                     WHERE id = :version AND node->>'id' = n.node_id) AS drawn ON true
      LEFT JOIN LATERAL (SELECT (data->>'attempt')::int AS attempt,
                                at + make_interval(secs => (data->>'delay')::float) AS next_at
                           FROM execution_events e
                          WHERE execution_id = :id AND seq > :since AND type = 'node.retrying'
                            AND e.node_id = n.node_id AND e.path = n.path
                          ORDER BY seq DESC LIMIT 1) AS failed ON true
     ORDER BY n.started_at, n.node_id
""")

# All below a run that wait for no other run: first those that their owner can help, then the oldest.
_BELOW = text("""
    WITH RECURSIVE below AS (
        SELECT id FROM workflow_executions WHERE parent_execution_id = :id AND finished_at IS NULL
         UNION ALL
        SELECT c.id FROM below b JOIN workflow_executions c ON c.parent_execution_id = b.id AND c.finished_at IS NULL
    )
    SELECT id, workflow_name, status, waiting_for, deferred_at IS NOT NULL AS deferred, nodes_executed, nodes_total,
           coalesce(wake_at <= now(), false) AS due, count(*) OVER () AS number
      FROM workflow_executions
     WHERE id = ANY(ARRAY(SELECT id FROM below))
       AND NOT (status = 'waiting' AND waiting_for->>'type' = 'subworkflow' AND waiting_for ? 'childExecutionId')
     ORDER BY array_position(ARRAY['approval', 'budget', 'api_calls'], waiting_for->>'type'), created_at, id
     LIMIT :most
""")


@dataclass(frozen=True)
class Standing:
    """What a run waits for, and its place in the queue, from 1; None where there is none."""

    waiting_for: WaitingFor | None = None
    queue_position: int | None = None


def at_rest(session: Session, execution: Execution, now: datetime) -> Standing | None:
    """Why a run that nobody drives is not moving, or nothing more is to come; None for one that is driven.

    `now` is the database's, whose clock set the times that it is compared with. Asked for at every poll: it costs
    nothing but for those who wait in a queue or for other runs.
    """
    match execution.status:
        case ExecutionStatus.QUEUED:
            return _queued(session, execution)
        case ExecutionStatus.WAITING:
            if execution.wake_at is not None and execution.wake_at <= now:
                return Standing(waiting.due(execution.waiting_for, deferred=execution.deferred_at is not None))
            return Standing(_with_those_below(session, execution))
        case ExecutionStatus.RUNNING | ExecutionStatus.CANCELLING:
            lease_end = execution.lease_expires_at
            return Standing(waiting.takeover(lease_end)) if lease_end and lease_end < now else None
    return Standing()


def standing(session: Session, execution: Execution, now: datetime | None = None) -> Standing:
    """Why `execution` is not moving at the moment `now`, if not at this one; nothing for one that is over."""
    now = now or session.scalars(select(func.clock_timestamp())).one()
    return at_rest(session, execution, now) or _driven(session, execution)


def _queued(session: Session, execution: Execution) -> Standing:
    asked = {"id": execution.id, "user": execution.user_id, "created": execution.created_at, "most": MOST_AHEAD}
    asked |= {"priority": execution.priority, "deferred": execution.deferred_at is not None, "turns": _TURNS}
    asked |= {"queue": f"executions.{execution.priority}", "gone": presence.GONE_AFTER, "deaf": presence.DEAF_AFTER}
    ((driven, has_no_turn, ahead, taken, heard_at),) = _PLACE.rows(session, asked)
    if has_no_turn:
        return Standing(waiting.turn(driven, ahead))
    if taken:
        return Standing(waiting.queue(execution.priority, ahead), ahead + 1)
    return Standing(waiting.workers(execution.priority, heard_at), ahead + 1)


def _with_those_below(session: Session, execution: Execution) -> WaitingFor | None:
    """What it waits for; the reasons of the runs that it started are theirs, and are looked for when it is asked."""
    told: WaitingFor | None = execution.waiting_for
    if told is None or "subworkflow" not in told.get("types", ()):
        return told
    rows = session.execute(_BELOW, {"id": execution.id, "most": MOST_LISTED}).all()
    more = rows[0].number - len(rows) if rows else 0
    return waiting.runs(told, [_below(row) for row in rows], more)


def _below(row: Row[Any]) -> WaitingFor:
    status = ExecutionStatus(row.status)
    facts = {"deferred": row.deferred, "executed": row.nodes_executed, "total": row.nodes_total}
    is_due = row.due and status is ExecutionStatus.WAITING
    told = waiting.due(row.waiting_for, deferred=row.deferred)
    reason = told if is_due else waiting.at_a_glance(status, row.waiting_for, **facts)
    return {"executionId": str(row.id), "workflowName": row.workflow_name, "status": status, "waitingFor": reason}


def _driven(session: Session, execution: Execution) -> Standing:
    """For its steps whose effects are under way."""
    since = execution.last_seq - LATE_EVENTS
    asked = {"id": execution.id, "version": execution.version_id, "since": since, "most": MOST_LISTED}
    rows = session.execute(_UNDER_WAY, asked).all()
    drawings = parse({"nodes": [row.node for row in rows], "connections": []}).nodes
    steps = [_step(row, drawings[row.node_id]) for row in rows]
    more = rows[0].number - len(rows) if rows else 0
    if execution.status is ExecutionStatus.CANCELLING:
        return Standing(waiting.cancel([step for step in steps if not step.pause], more))
    told = waiting.nodes(steps, more, executed=execution.nodes_executed, total=execution.nodes_total)
    return Standing(told)


def _step(row: Row[Any], node: Node) -> UnderWay:
    if row.failed is None or row.failed < row.attempt:
        return UnderWay(node, row.path, row.attempt, row.started_at, pause=row.pause)
    return UnderWay(node, row.path, row.failed + 1, row.started_at, row.next_at)
