"""Why a run waits, for its owner. It is derived from rows on request, so that driving a run costs nothing for it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text
from sqlalchemy.orm import Session

from models.raw_statement import PreparedStatement
from models.rules.executions import waiting_for
from models.rules.executions.states import ExecutionStatus
from models.rules.executions.waiting_for import MAX_COUNTED_AHEAD, UnderWay, WaitingFor
from models.rules.graph.graph import Node, parse
from models.rules.prices.pricing import PLANS, Priority
from models.serialization import to_json
from models.services.operations import worker_heartbeats
from models.services.orchestration.leases import DRIVEN_RUNS
from models.tables import Execution

MAX_LISTED = 20  # of the nodes under way
LATE_EVENTS = 500  # among which the last failed attempt of a node is searched

# Whether the run is deferred, how many runs are ahead of it (of its owner if deferred, or else in its queue), and
# whether workers consume that queue.
_QUEUE_POSITION = PreparedStatement(
    """
    SELECT CAST(:id AS uuid), driven, is_deferred,
           CASE WHEN is_deferred
                THEN (SELECT count(*) FROM (
                        SELECT FROM workflow_executions
                         WHERE user_id = :user AND status = 'queued' AND deferred_at IS NOT NULL
                           AND (created_at, id) < (:created, :id) LIMIT :most) AS own)
                ELSE (SELECT count(*) FROM (
                        SELECT FROM workflow_executions
                         WHERE status = 'queued' AND priority = :priority AND deferred_at IS NULL
                           AND (created_at, id) < (:created, :id) LIMIT :most) AS others) END AS ahead,
           taken, last_message_at
      FROM (TAKERS) AS takers,
           (SELECT driven,
                   :deferred OR driven >= CAST(CAST(:turns AS jsonb)->>u.subscription_tier AS int) AS is_deferred
              FROM users u,
                   LATERAL (SELECT DRIVEN_RUNS AS driven) AS mine
             WHERE u.id = :user) AS turn
""",
    DRIVEN_RUNS=DRIVEN_RUNS,
    TAKERS=worker_heartbeats.CONSUMERS.replace("queue.name", ":queue"),
)
# The same for many runs, by id. The beginning of a queue is read once for all of them, which to count it for each would
# cost hundreds of times; for one run this takes longer than the statement above.
_QUEUE_POSITIONS = PreparedStatement(
    """
    WITH asked AS MATERIALIZED (
        SELECT * FROM unnest(CAST(:id AS uuid[]), CAST(:user AS uuid[]), CAST(:created AS timestamptz[]),
                             CAST(:priority AS text[]), CAST(:deferred AS boolean[]), CAST(:queue AS text[]))
            AS asked(id, user_id, created_at, priority, is_deferred, queue)),
    queues AS MATERIALIZED (
        SELECT queue.*, taken, last_message_at
          FROM (SELECT priority, asked.queue AS name, max(created_at) AS until
                  FROM asked GROUP BY priority, asked.queue) AS queue, LATERAL (TAKERS) AS takers),
    turns AS MATERIALIZED (
        SELECT u.id AS user_id, driven, driven >= CAST(CAST(:turns AS jsonb)->>u.subscription_tier AS int) AS is_full
          FROM users u, LATERAL (SELECT DRIVEN_RUNS AS driven) AS mine
         WHERE u.id = ANY(CAST(:user AS uuid[]))),
    heads AS MATERIALIZED (
        SELECT queue.priority, head.*,
               row_number() OVER (PARTITION BY queue.priority ORDER BY head.created_at, head.id) - 1 AS ahead
          FROM queues AS queue,
               LATERAL (SELECT created_at, id FROM workflow_executions
                         WHERE status = 'queued' AND priority = queue.priority AND deferred_at IS NULL
                           AND created_at <= queue.until
                         ORDER BY created_at, id LIMIT :most) AS head),
    ends AS MATERIALIZED (SELECT priority, max(created_at) AS last, count(*) AS number FROM heads GROUP BY priority)
    SELECT asked.id, driven, is_deferred OR is_full,
           CASE WHEN is_deferred OR is_full
                THEN (SELECT count(*) FROM (
                        SELECT FROM workflow_executions e
                         WHERE e.user_id = asked.user_id AND e.status = 'queued' AND e.deferred_at IS NOT NULL
                           AND (e.created_at, e.id) < (asked.created_at, asked.id) LIMIT :most) AS own)
                ELSE coalesce(heads.ahead, CASE WHEN asked.created_at > ends.last THEN ends.number END, (
                        SELECT count(*) FROM heads AS h
                         WHERE h.priority = asked.priority AND (h.created_at, h.id) < (asked.created_at, asked.id)))
                END,
           taken, last_message_at
      FROM asked JOIN turns USING (user_id) JOIN queues USING (priority)
      LEFT JOIN heads ON heads.id = asked.id LEFT JOIN ends ON ends.priority = asked.priority
""",
    DRIVEN_RUNS=DRIVEN_RUNS,
    TAKERS=worker_heartbeats.CONSUMERS,
)
_CONCURRENT_RUNS = to_json({tier.value: plan.concurrent_runs for tier, plan in PLANS.items()})

# Nodes under way in some runs, the longest first, each with its node of the graph and its last failed attempt.
_UNDER_WAY = text("""
    SELECT asked.execution_id, n.*, drawn.node, failed.attempt AS failed, failed.next_at
      FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS uuid[]), CAST(:since AS bigint[]))
            AS asked(execution_id, version_id, since)
      JOIN LATERAL (SELECT node_id, path, attempt, started_at, count(*) OVER () AS number,
                           CASE WHEN status = 'waiting' THEN external_ref->>'message' END AS pause,
                           CASE WHEN status <> 'waiting' THEN external_ref->'queue' END AS queue
                      FROM node_executions
                     WHERE execution_id = asked.execution_id
                       AND (status IN ('running', 'waiting') OR (status = 'pending' AND external_ref ? 'queue'))
                     ORDER BY started_at, node_id LIMIT :most) AS n ON true
      JOIN LATERAL (SELECT node FROM workflow_versions, jsonb_array_elements(graph->'nodes') AS node
                     WHERE id = asked.version_id AND node->>'id' = n.node_id) AS drawn ON true
      -- A call that its provider throttled was queued again without a delay, and does not count as an attempt.
      LEFT JOIN LATERAL (SELECT CASE WHEN (data->>'delay')::float > 0 THEN (data->>'attempt')::int END AS attempt,
                                at + make_interval(secs => (data->>'delay')::float) AS next_at
                           FROM execution_events e
                          WHERE e.execution_id = asked.execution_id AND seq > asked.since AND type = 'node.retrying'
                            AND e.node_id = n.node_id AND e.path = n.path
                          ORDER BY seq DESC LIMIT 1) AS failed ON true
     ORDER BY n.started_at, n.node_id
""")

# The runs below a run that do not wait for child runs: first those that wait for their owner, then the oldest.
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
class WaitStatus:
    """Why a run waits, if it does, and its position in the queue, from 1, if it is queued."""

    waiting_for: WaitingFor | None = None
    queue_position: int | None = None


def undriven_status(session: Session, execution: Execution, now: datetime) -> WaitStatus | None:
    """The wait status of a run without a driver, or of an ended one; None for a driven run.

    `now` is by the database's clock, which set the times that it is compared with. This is computed for every poll, so
    it queries the database only for runs that are queued or wait for child runs.
    """
    return undriven_statuses(session, [execution], now)[execution.id]


def undriven_statuses(
    session: Session, executions: Iterable[Execution], now: datetime
) -> Mapping[UUID, WaitStatus | None]:
    """The statuses of many runs by id, as `undriven_status` returns them; one query for all that are queued."""
    found: dict[UUID, WaitStatus | None] = {}
    queued = []
    for execution in executions:
        if execution.status is ExecutionStatus.QUEUED:
            queued.append(execution)
        else:
            found[execution.id] = _undriven(session, execution, now)
    return {**found, **_queued(session, queued)}


def wait_status(session: Session, execution: Execution, now: datetime | None = None) -> WaitStatus:
    """The wait status of `execution` at `now` (by default the current time); empty for an ended run."""
    now = now or session.scalars(select(func.clock_timestamp())).one()
    return undriven_status(session, execution, now) or driven_statuses(session, [execution])[execution.id]


def driven_statuses(session: Session, executions: Sequence[Execution]) -> Mapping[UUID, WaitStatus]:
    """The wait statuses of driven runs by id: the nodes whose effects are under way."""
    if not executions:
        return {}
    parameters = {
        "ids": [execution.id for execution in executions],
        "versions": [execution.version_id for execution in executions],
        "since": [execution.last_seq - LATE_EVENTS for execution in executions],
        "most": MAX_LISTED,
    }
    rows = defaultdict(list)
    for row in session.execute(_UNDER_WAY, parameters):
        rows[row.execution_id].append(row)
    return {execution.id: _driven(execution, rows[execution.id]) for execution in executions}


def _undriven(session: Session, execution: Execution, now: datetime) -> WaitStatus | None:
    match execution.status:
        case ExecutionStatus.WAITING:
            if execution.wake_at is not None and execution.wake_at <= now:
                return WaitStatus(waiting_for.due(execution.waiting_for, deferred=execution.deferred_at is not None))
            return WaitStatus(_with_children(session, execution))
        case ExecutionStatus.RUNNING | ExecutionStatus.CANCELLING:
            lease_end = execution.lease_expires_at
            return WaitStatus(waiting_for.takeover(lease_end)) if lease_end and lease_end < now else None
    return WaitStatus()


def _queued(session: Session, executions: Sequence[Execution]) -> Mapping[UUID, WaitStatus]:
    fixed = {
        "turns": _CONCURRENT_RUNS,
        "most": MAX_COUNTED_AHEAD,
        "gone": worker_heartbeats.GONE_AFTER_INTERVALS,
        "unresponsive": worker_heartbeats.UNRESPONSIVE_AFTER_INTERVALS,
    }
    if len(executions) == 1:
        rows = _QUEUE_POSITION.rows(session, {**fixed, **_asked(executions[0])})
    elif executions:
        every = [_asked(execution) for execution in executions]
        rows = _QUEUE_POSITIONS.rows(session, {**fixed, **{name: [one[name] for one in every] for name in every[0]}})
    else:
        rows = []
    priorities = {execution.id: execution.priority for execution in executions}
    return {row[0]: _position(priorities[row[0]], *row[1:]) for row in rows}


def _asked(execution: Execution) -> dict[str, Any]:
    return {
        "id": execution.id,
        "user": execution.user_id,
        "created": execution.created_at,
        "priority": execution.priority.value,
        "deferred": execution.deferred_at is not None,
        "queue": f"executions.{execution.priority}",
    }


def _position(
    priority: Priority, driven: int, is_deferred: bool, ahead: int, is_consumed: bool, last_message_at: datetime | None
) -> WaitStatus:
    if is_deferred:
        return WaitStatus(waiting_for.concurrency_limit(driven, ahead))
    if is_consumed:
        return WaitStatus(waiting_for.queue(priority, ahead), ahead + 1)
    return WaitStatus(waiting_for.workers(priority, last_message_at), ahead + 1)


def _with_children(session: Session, execution: Execution) -> WaitingFor | None:
    """The stored reason; if the run waits for child runs, with the reasons of these, from their rows."""
    stored: WaitingFor | None = execution.waiting_for
    if stored is None or "subworkflow" not in stored.get("types", ()):
        return stored
    rows = session.execute(_BELOW, {"id": execution.id, "most": MAX_LISTED}).all()
    more = rows[0].number - len(rows) if rows else 0
    return waiting_for.runs(stored, [_below(row) for row in rows], more)


def _below(row: Row[Any]) -> WaitingFor:
    status = ExecutionStatus(row.status)
    progress = {"deferred": row.deferred, "executed": row.nodes_executed, "total": row.nodes_total}
    is_due = row.due and status is ExecutionStatus.WAITING
    stored = waiting_for.due(row.waiting_for, deferred=row.deferred)
    reason = stored if is_due else waiting_for.summary(status, row.waiting_for, **progress)
    return {"executionId": str(row.id), "workflowName": row.workflow_name, "status": status, "waitingFor": reason}


def _driven(execution: Execution, rows: Sequence[Row[Any]]) -> WaitStatus:
    drawings = parse({"nodes": [row.node for row in rows], "connections": []}).nodes
    steps = [_step(row, drawings[row.node_id]) for row in rows]
    more = rows[0].number - len(rows) if rows else 0
    if execution.status is ExecutionStatus.CANCELLING:
        return WaitStatus(waiting_for.cancel([step for step in steps if not step.pause], more))
    stored = waiting_for.nodes(steps, more, executed=execution.nodes_executed, total=execution.nodes_total)
    return WaitStatus(stored)


def _step(row: Row[Any], node: Node) -> UnderWay:
    if row.queue:
        return UnderWay(node, row.path, row.attempt, row.started_at, queue=row.queue)
    if row.failed is None or row.failed < row.attempt:
        return UnderWay(node, row.path, row.attempt, row.started_at, pause=row.pause)
    return UnderWay(node, row.path, row.failed + 1, row.started_at, row.next_at)
