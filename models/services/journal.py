"""What drivers record: results, charges, events and endings of many executions in one transaction.

Every number is absolute and every row has a key, so writing the same batch twice changes nothing: after a cut
connection nobody knows whether the commit arrived. Rows of a driver whose epoch is over are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row
from sqlalchemy.orm import Session

from models.changes import announce
from models.rules.schedule import Step
from models.rules.states import ExecutionStatus, NodeStatus
from models.services import api_calls, credits, families, run_news

Json = Any

_FENCE = """
    UPDATE workflow_executions e
       SET credits_charged = v.charged, nodes_executed = v.executed, last_seq = v.seq, updated_at = now(),
           progress = greatest(e.progress, v.progress),
           -- Only crashes without any progress between them speak of poison.
           crashes = CASE WHEN v.executed > e.nodes_executed THEN 0 ELSE e.crashes END,
           suspicion = CASE WHEN v.executed > e.nodes_executed THEN 0 ELSE e.suspicion END,
           status = coalesce(v.status, e.status), output = v.output, error = v.error,
           waiting_for = v.waiting_for,
           -- Whoever answered a question in the meantime has set an earlier time, and must not be missed.
           wake_at = CASE WHEN v.over THEN NULL WHEN v.status IS NULL THEN e.wake_at
                          ELSE least(e.wake_at, v.wake_at) END,
           finished_at = CASE WHEN v.over THEN now() END,
           lease_owner = CASE WHEN v.status IS NULL THEN e.lease_owner END,
           lease_expires_at = CASE WHEN v.status IS NULL THEN e.lease_expires_at END
      FROM jsonb_to_recordset(%s::jsonb) AS v(
           id uuid, epoch int, charged numeric, executed int, seq bigint, progress int, status text, over boolean,
           output jsonb, error jsonb, waiting_for jsonb, wake_at timestamptz)
     WHERE e.id = v.id AND e.epoch = v.epoch AND e.status IN ('running', 'cancelling')
 RETURNING e.id, e.user_id, e.workflow_name, e.credits_charged, e.depth,
           extract(epoch FROM now() - e.started_at)::float AS seconds
"""

_NODES = """
    INSERT INTO node_executions AS n (execution_id, node_id, path, status, attempt, port, output, error, credits,
                                      external_ref, started_at, finished_at)
    SELECT execution_id, node_id, path, status, attempt, port, output, error, credits, external_ref, started_at,
           finished_at
      FROM jsonb_to_recordset(%s::jsonb) AS v(
           execution_id uuid, node_id text, path text, status text, attempt int, port text, output jsonb, error jsonb,
           credits numeric, external_ref jsonb, started_at timestamptz, finished_at timestamptz)
    ON CONFLICT (execution_id, node_id, path) DO UPDATE
       SET status = excluded.status, attempt = excluded.attempt, port = excluded.port, output = excluded.output,
           error = excluded.error, credits = excluded.credits,
           -- Somebody may have answered what was written before, if this is written once more.
           external_ref = CASE WHEN excluded.status = 'waiting' AND n.external_ref - 'answer' = excluded.external_ref
                               THEN n.external_ref ELSE excluded.external_ref END,
           started_at = excluded.started_at, finished_at = excluded.finished_at
"""

_EVENTS = """
    INSERT INTO execution_events (execution_id, seq, at, type, level, node_id, path, message, data)
    SELECT execution_id, seq, at, type, level, node_id, path, message, data
      FROM jsonb_to_recordset(%s::jsonb) AS v(
           execution_id uuid, seq bigint, at timestamptz, type text, level text, node_id text, path text, message text,
           data jsonb)
    ON CONFLICT (execution_id, seq) DO NOTHING
"""

# A run that was asked to stop while its driver parked it: nobody would wake it, so the next driver ends it. That one's
# claim counts a crash, and there was none.
_STOP_PARKED = """
    UPDATE workflow_executions
       SET status = 'cancelling', waiting_for = NULL, wake_at = NULL, lease_expires_at = now(), crashes = crashes - 1,
           suspicion = CASE suspicion WHEN 2 THEN 1 ELSE suspicion END
     WHERE id = ANY(%s::uuid[]) AND status = 'waiting' AND cancel_requested_at IS NOT NULL
"""


@dataclass(frozen=True)
class NodeRow:
    """The state of one step after a change. `output` is encoded JSON, at most one MiB."""

    step: Step
    status: NodeStatus
    attempt: int
    started_at: datetime
    finished_at: datetime | None = None
    port: str | None = None
    output: bytes | None = None
    error: Json = None
    credits: Decimal = Decimal(0)
    external_ref: Json = None
    is_call: bool = False  # it is about to call outside


@dataclass(frozen=True)
class EventRow:
    """One line of an execution's history; `seq` counts from 1 without gaps."""

    seq: int
    at: datetime
    type: str
    message: str
    level: str = "info"
    step: Step | None = None
    data: Json = None


@dataclass(frozen=True)
class Ending:
    """How a driver leaves: for good, or `waiting` for `wake_at` or for somebody's answer."""

    status: ExecutionStatus
    output: bytes | None = None
    error: Json = None
    waiting_for: Json = None
    wake_at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """What one driver has to say since it last wrote, with the totals that are true after it."""

    execution_id: UUID
    epoch: int
    charged: Decimal  # credits
    executed: int
    seq: int
    percent: int
    nodes: Sequence[NodeRow] = ()
    events: Sequence[EventRow] = ()
    ending: Ending | None = field(default=None)
    kin: bool = False  # it was started by another run, or may start some
    abandoned: Sequence[UUID] = ()  # children that nobody waits for any more

    @property
    def is_over(self) -> bool:
        """Whether the run ends with this, for good."""
        return self.ending is not None and self.ending.status is not ExecutionStatus.WAITING


def record(session: Session, batch: Sequence[Progress]) -> set[UUID]:
    """Write a batch of at most one `Progress` per execution; answers the executions whose drivers still own them.

    A finished execution's hold is settled here too: what was charged is captured, the rest is released.
    """
    connection = session.connection()
    family = [progress for progress in batch if progress.kin]
    ending = [p.execution_id for p in family if p.is_over] + [child for p in family for child in p.abandoned]
    if len(batch) > 1 or ending:
        families.lock(session, [p.execution_id for p in batch], ending=ending)
    fenced = connection.exec_driver_sql(_FENCE, (_json([_totals(p) for p in batch]),))
    ours = {row.id: row for row in fenced}
    kept = [progress for progress in batch if progress.execution_id in ours]
    nodes = [_node(p.execution_id, row) for p in kept for row in _last_per_step(p.nodes)]
    if nodes:
        connection.exec_driver_sql(_NODES, (_json(nodes),))
    _count_calls(session, kept)
    events = [_event(p.execution_id, row) for p in kept for row in p.events]
    if events:
        connection.exec_driver_sql(_EVENTS, (_json(events),))
    leaving = [progress for progress in kept if progress.ending]
    _leave(session, leaving)
    _part(session, [progress for progress in kept if progress.kin])
    _tell(session, leaving, ours)
    announce(session, *ours)
    return set(ours)


def _tell(session: Session, leaving: Sequence[Progress], runs: Mapping[UUID, Row[Any]]) -> None:
    """Say what users want to hear although they are not looking."""
    for progress in leaving:
        ending, run = progress.ending, runs[progress.execution_id]
        if ending is None:
            continue
        if ending.status is not ExecutionStatus.WAITING:
            if run.depth:
                continue  # its parent waits for it, and nobody else
            run_news.ended(session, run, ending.status, ending.error)
        elif (ending.waiting_for or {}).get("type") == "approval":
            run_news.asked(session, run, ending.waiting_for)
    run_news.paid(session, {runs[p.execution_id].user_id for p in leaving if p.charged})


def _leave(session: Session, leaving: Sequence[Progress]) -> None:
    """Settle what has ended, and see to it that nothing of it stays open."""
    connection = session.connection()
    ended = [p for p in leaving if p.is_over]
    parked = [str(p.execution_id) for p in leaving if not p.is_over]
    if parked:
        connection.exec_driver_sql(_STOP_PARKED, (parked,))
    if resumed := [p.execution_id for p in ended if p.epoch > 1]:  # what earlier drivers left open
        families.close_nodes(session, resumed)
    if ended:
        credits.settle_many(session, {p.execution_id: p.charged for p in ended})


def _count_calls(session: Session, kept: Sequence[Progress]) -> None:
    """A call counts from its start on; what did not succeed is not charged for, and does not count either."""
    steps = [((p.execution_id, row.step.node_id, row.step.path), row) for p in kept for row in p.nodes]
    if begun := [step for step, row in steps if row.is_call]:
        api_calls.count(session, begun)
    if lost := [step for step, row in steps if row.status in (NodeStatus.FAILED, NodeStatus.CANCELLED)]:
        api_calls.release(session, lost)


def _part(session: Session, family: Sequence[Progress]) -> None:
    """Stop the children that nobody waits for, and let parents know of those that are over."""
    families.stop(session, [child for progress in family for child in progress.abandoned])
    if over := [progress.execution_id for progress in family if progress.is_over]:
        families.ended(session, over)


def _totals(progress: Progress) -> dict[str, Json]:
    ending = progress.ending
    totals: dict[str, Json] = {
        "id": progress.execution_id,
        "epoch": progress.epoch,
        "charged": str(progress.charged),
        "executed": progress.executed,
        "seq": progress.seq,
        "progress": progress.percent,
        "over": False,
    }
    if ending:
        totals |= {
            "status": ending.status,
            "over": ending.status is not ExecutionStatus.WAITING,
            "output": orjson.Fragment(ending.output) if ending.output else None,
            "error": ending.error,
            "waiting_for": ending.waiting_for,
            "wake_at": ending.wake_at,
        }
    return totals


def _node(execution_id: UUID, row: NodeRow) -> dict[str, Json]:
    return {
        "execution_id": execution_id,
        "node_id": row.step.node_id,
        "path": row.step.path,
        "status": row.status,
        "attempt": row.attempt,
        "port": row.port,
        "output": orjson.Fragment(row.output) if row.output else None,
        "error": row.error,
        "credits": str(row.credits),
        "external_ref": row.external_ref,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }


def _event(execution_id: UUID, row: EventRow) -> dict[str, Json]:
    return {
        "execution_id": execution_id,
        "seq": row.seq,
        "at": row.at,
        "type": row.type,
        "level": row.level,
        "node_id": row.step.node_id if row.step else None,
        "path": row.step.path if row.step else "",
        "message": row.message,
        "data": row.data,
    }


def _last_per_step(rows: Sequence[NodeRow]) -> Iterable[NodeRow]:
    """A step may change twice within one batch; a statement may touch its row once."""
    return {row.step: row for row in rows}.values()


def _json(rows: list[dict[str, Json]]) -> str:
    return orjson.dumps(rows).decode()
