"""The state of each node of a run: the nodes of its graph, in the order of the document, with their recorded rows.

The database aggregates the iterations of nodes in loops, so that no thousands of rows are loaded for one node.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.raw_statement import PreparedStatement
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.serialization import Json
from models.tables import Execution

_OUTLINE = text("""
    SELECT number, node->>'id' AS id, coalesce(nullif(node->>'label', ''), node->>'id') AS label,
           node->>'type' AS type, nullif(node->>'parentId', '') AS parent_id
      FROM workflow_versions, jsonb_array_elements(graph->'nodes') WITH ORDINALITY AS drawn(node, place)
     WHERE workflow_versions.id = :version
     ORDER BY place
""")

# One statement, because nodes, charges and total must be of the same moment while a run is driven.
_RECORDED = PreparedStatement("""
    SELECT e.id, e.credits_charged, e.credits_cap, e.finished_at IS NOT NULL AS is_final, n.*
      FROM workflow_executions e
      LEFT JOIN LATERAL (
        SELECT node_id, true AS is_top, ARRAY[status::text] AS statuses, attempt AS attempts, port, output, error,
               credits, started_at, finished_at, external_ref->>'childExecutionId' AS child, 1 AS seen, 1 AS done,
               (credits > 0)::int AS charges, attempt AS charged_attempts, credits AS unit_price
          FROM node_executions WHERE execution_id = e.id AND path = ''
         UNION ALL
        SELECT node_id, false, array_agg(DISTINCT status::text), sum(attempt), NULL, NULL,
               (array_agg(error ORDER BY finished_at) FILTER (WHERE status = 'failed'))[1],
               sum(credits), min(started_at), max(finished_at), NULL, count(*),
               count(*) FILTER (WHERE status IN ('success', 'failed', 'skipped', 'cancelled')),
               count(*) FILTER (WHERE credits > 0), sum(attempt) FILTER (WHERE credits > 0), max(credits)
          FROM node_executions WHERE execution_id = e.id AND path <> '' GROUP BY node_id) AS n ON true
     WHERE e.id = ANY(CAST(:executions AS uuid[]))
""")

# The status of a node with many iterations is the first of these that an iteration has.
_STATUS_PRECEDENCE = tuple(
    NodeStatus(status) for status in ("running", "waiting", "failed", "cancelled", "pending", "success", "skipped")
)
# The status of a node that an ended run did not reach, such as in a loop without items or behind a failure.
_UNREACHED = {
    ExecutionStatus.SUCCESS: NodeStatus.SKIPPED,
    ExecutionStatus.FAILED: NodeStatus.CANCELLED,
    ExecutionStatus.CANCELLED: NodeStatus.CANCELLED,
}
_MAX_KEPT = 256
_MAX_KEPT_BYTES = 500
_kept: dict[UUID, "Outline"] = {}


class NodeOutline(NamedTuple):
    """A node of a graph without its config."""

    id: str
    label: str
    type: str
    parent_id: str | None


class Outline(NamedTuple):
    """The number of a version, and the nodes of its graph."""

    number: int | None  # None for a graph without nodes, which no run has
    nodes: tuple[NodeOutline, ...]


@dataclass(frozen=True)
class NodeState:
    """The state of a node of a run. Times are UTC; `credits` is its cost so far.

    `iterations` is `{done, total}` for a node inside a loop: how many ended, and how many began.
    """

    node_id: str
    label: str
    type: str
    parent_id: str | None
    status: NodeStatus = NodeStatus.PENDING
    attempts: int = 0
    port: str | None = None
    output: Json = None
    error: Json = None
    credits: Decimal = Decimal(0)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    iterations: Mapping[str, int] | None = None
    child_execution_id: str | None = None  # the child run that it started last

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; None before its end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return round(max(0.0, (self.finished_at - self.started_at).total_seconds()), 3)


class RecordedNode(NamedTuple):
    """The recorded row of a node, or the aggregate of all iterations of a node inside a loop."""

    node_id: str
    is_top: bool | None
    statuses: list[str]
    attempts: int
    port: str | None
    output: Json
    error: Json
    credits: Decimal
    started_at: datetime | None
    finished_at: datetime | None
    child: str | None
    seen: int
    done: int
    charges: int
    charged_attempts: int
    unit_price: Decimal


@dataclass(frozen=True)
class Recorded:
    """The recorded state of a run at one moment: its total and cap in credits, and rows by node id."""

    total: Decimal
    cap: Decimal
    is_final: bool  # nothing more will be charged
    top: Mapping[str, RecordedNode]
    repeated: Mapping[str, RecordedNode]  # of nodes inside loops, with their iterations added up


def recorded(session: Session, execution: Execution) -> Recorded:
    """Read the recorded state, from which nodes and receipt are built; raises `NotFound` if the run was deleted."""
    found = recorded_many(session, [execution]).get(execution.id)
    if found is None:
        raise NotFound("execution")
    return found


def recorded_many(session: Session, executions: Collection[Execution]) -> Mapping[UUID, Recorded]:
    """The recorded states of runs by id, in one query; without those that were deleted."""
    found = {execution.id: _unrecorded(execution) for execution in executions if _has_no_rows(execution)}
    others = [execution.id for execution in executions if execution.id not in found]
    rows = defaultdict(list)
    for row in _RECORDED.rows(session, {"executions": others}) if others else ():
        rows[row[0]].append(row[1:])
    return found | {execution_id: _recorded(own) for execution_id, own in rows.items()}


def _has_no_rows(execution: Execution) -> bool:
    """Whether the run was not driven yet and began without results."""
    is_bare = execution.retry_of is None and execution.tried_node_id is None
    return execution.status is ExecutionStatus.QUEUED and not execution.epoch and is_bare


def _unrecorded(execution: Execution) -> Recorded:
    return Recorded(execution.credits_charged, execution.credits_cap, False, {}, {})


def _recorded(rows: Sequence[tuple[Any, ...]]) -> Recorded:
    total, cap, is_final, *_ = rows[0]
    nodes = [RecordedNode._make(row[3:]) for row in rows]
    top = {node.node_id: node for node in nodes if node.is_top}
    repeated = {node.node_id: node for node in nodes if node.is_top is False}
    return Recorded(total, cap, is_final, top, repeated)


def node_states(session: Session, execution: Execution, found: Recorded | None = None) -> list[NodeState]:
    """The state of every node of the run's graph, in graph order; a node without a row is pending or not reached."""
    found = found or recorded(session, execution)
    unreached = _UNREACHED.get(execution.status, NodeStatus.PENDING)
    nodes = outline(session, execution.version_id).nodes
    return [_state(node, found.top.get(node.id), found.repeated.get(node.id), unreached) for node in nodes]


def outline(session: Session, version_id: UUID) -> Outline:
    """The number and the nodes of a version. Versions never change, so the recent ones are cached in this process."""
    known = _kept.get(version_id)
    if known is None:
        rows = session.execute(_OUTLINE, {"version": version_id}).all()
        known = Outline(rows[0].number if rows else None, tuple(NodeOutline(*row[1:]) for row in rows))
        if len(known.nodes) <= _MAX_KEPT_BYTES:
            while len(_kept) >= _MAX_KEPT:
                _kept.pop(next(iter(_kept)), None)
            _kept[version_id] = known
    return known


def _state(
    node: NodeOutline, top: RecordedNode | None, repeated: RecordedNode | None, unreached: NodeStatus
) -> NodeState:
    row = top or repeated
    if row is None:
        return NodeState(*node, status=unreached)
    shared = {
        "attempts": int(row.attempts),
        "error": row.error,
        "credits": row.credits,
        "started_at": row.started_at,
    }
    if row is top:
        return NodeState(
            *node,
            status=NodeStatus(row.statuses[0]),
            port=row.port,
            output=row.output,
            finished_at=row.finished_at,
            child_execution_id=row.child,
            **shared,
        )
    return NodeState(
        *node,
        status=next(status for status in _STATUS_PRECEDENCE if status in row.statuses),
        finished_at=row.finished_at if row.done == row.seen else None,
        iterations={"done": row.done, "total": row.seen},
        **shared,
    )
