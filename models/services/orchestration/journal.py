"""The journal of drivers: results, charges, events and endings of many executions in one transaction.

Numbers are absolute and rows have keys, so a batch may be written twice, as after a lost connection, when it is unknown
whether the commit succeeded. Rows of drivers whose epoch has passed are left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import orjson
from sqlalchemy.orm import Session

from models.changes import notify_changed
from models.rules.executions.schedule import Step
from models.rules.executions.states import ExecutionStatus, NodeStatus
from models.serialization import Json, to_json
from models.services.notifications.notifications import LOW_BALANCE
from models.services.orchestration import execution_tree, run_notifications
from models.services.orchestration.journal_statement import (
    RECORD,
    RECORD_ENDS,
    RECORD_ONE,
    RECORD_QUIET_ENDS,
    WrittenRun,
)

# A run that was cancelled while its driver parked it would not be woken, so the next driver ends it.
_STOP_PARKED = """
    UPDATE workflow_executions
       SET status = 'cancelling', waiting_for = NULL, wake_at = NULL, lease_expires_at = now()
     WHERE id = ANY(%s::uuid[]) AND status = 'waiting' AND cancel_requested_at IS NOT NULL
"""

_QUIET = {"long_run": run_notifications.LONG_RUN, "low_balance": LOW_BALANCE}


@dataclass(frozen=True)
class NodeRow:
    """The state of a step after a change. `output` is encoded JSON, at most one MiB."""

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
    due: Decimal = Decimal(0)  # credits to charge if it is abandoned from now on
    request: int = 0  # the number of the request that is about to be sent; 0 for none


@dataclass(frozen=True)
class EventRow:
    """An event of an execution; `seq` counts from 1 without gaps."""

    seq: int
    at: datetime
    type: str
    message: str
    level: str = "info"
    step: Step | None = None
    data: Json = None


@dataclass(frozen=True)
class Ending:
    """The state in which a driver leaves a run: ended, or `waiting` until `wake_at` or for an approval."""

    status: ExecutionStatus
    output: bytes | None = None
    error: Json = None
    waiting_for: Json = None
    wake_at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """The changes of a run since its driver's last write, with the totals after them."""

    execution_id: UUID
    epoch: int
    charged: Decimal  # credits, with the run's fee
    succeeded: int
    seq: int
    percent: int
    nodes: Sequence[NodeRow] = ()
    events: Sequence[EventRow] = ()
    ending: Ending | None = field(default=None)
    fee: Decimal = Decimal(0)  # the part of `charged` that this write adds for the run itself
    in_tree: bool = False  # whether the run has a parent or may start children
    abandoned: Sequence[UUID] = ()  # child runs that no step waits for any more
    stored: int | None = None  # bytes that the run stores; None leaves the number unchanged
    fuel: int | None = None  # used by its expressions; None likewise
    request_id: str | None = None  # of the request that caused the run, for logs

    @property
    def is_over(self) -> bool:
        """Whether the run ends with this write."""
        return self.ending is not None and self.ending.status is not ExecutionStatus.WAITING


def is_one_statement(progress: Progress) -> bool:
    """Whether `record_alone` may write it: the run goes on, or its end concerns no other run and no earlier driver."""
    if progress.abandoned:
        return False
    return not progress.ending or (progress.is_over and not progress.in_tree and progress.epoch == 1)


def record(session: Session, batch: Sequence[Progress]) -> set[UUID]:
    """Write a batch of at most one `Progress` per execution; returns the executions whose leases were still held.

    The hold of an ended execution is settled here too: the charge is captured and the rest is released.
    """
    in_trees = [progress for progress in batch if progress.in_tree]
    ending = [p.execution_id for p in in_trees if p.is_over] + [child for p in in_trees for child in p.abandoned]
    if ending:
        execution_tree.lock(session, [p.execution_id for p in batch], ending=ending)
    statement = RECORD_ENDS if any(progress.is_over for progress in batch) else RECORD
    held = {run.id: run for run in map(WrittenRun._make, statement.rows(session, _values(batch)))}
    written = [progress for progress in batch if progress.execution_id in held]
    leaving = [progress for progress in written if progress.ending]
    _leave(session, leaving)
    _update_trees(session, [progress for progress in written if progress.in_tree])
    _notify(session, leaving, held)
    notify_changed(session, *held)
    return set(held)


def record_alone(batch: Sequence[Progress]) -> set[UUID]:
    """Write a batch in which each `is_one_statement`, as a transaction of its own; returns the executions written.

    It is committed when this returns. The caller has to publish the changes (`models.changes`). A run that ends is left
    to `record` if its owner may have to be notified; another one that is left out has lost its lease.
    """
    values = _values(batch)
    if any(progress.ending for progress in batch):
        return {row[0] for row in RECORD_QUIET_ENDS.rows_alone(values | _QUIET)}
    if len(batch) > 1:
        return {row[0] for row in RECORD.rows_alone(values)}
    (progress,) = batch
    return {row[0] for row in RECORD_ONE.rows_alone(_totals(progress) | values | {"id": str(progress.execution_id)})}


def _notify(session: Session, leaving: Sequence[Progress], runs: Mapping[UUID, WrittenRun]) -> None:
    """Notify users of runs that ended or wait for an approval, and of a low balance."""
    for progress in leaving:
        ending, run = progress.ending, runs[progress.execution_id]
        if ending is None:
            continue
        if ending.status is not ExecutionStatus.WAITING:
            if run.depth:
                continue  # a child run; users are notified of its topmost run
            run_notifications.ended(session, run, ending.status, ending.error)
        elif (ending.waiting_for or {}).get("type") == "approval":
            run_notifications.approval_requested(session, run, ending.waiting_for)
    run_notifications.paid(session, {runs[p.execution_id].user_id for p in leaving if _is_short(p, runs)})


def _is_short(progress: Progress, runs: Mapping[UUID, WrittenRun]) -> bool:
    """Whether the owner of a run that was charged may have few credits left; of a tree, more is moved afterwards."""
    available = runs[progress.execution_id].available
    return bool(progress.charged) and available is not None and (progress.in_tree or available < LOW_BALANCE)


def _leave(session: Session, leaving: Sequence[Progress]) -> None:
    """Close the open nodes of ended runs; requeue parked runs that are to be cancelled."""
    if parked := [str(p.execution_id) for p in leaving if not p.is_over]:
        session.connection().exec_driver_sql(_STOP_PARKED, (parked,))
    if resumed := [p.execution_id for p in leaving if p.is_over and p.epoch > 1]:
        execution_tree.close_nodes(session, resumed, charged=False)  # `charged` includes what earlier drivers left


def _update_trees(session: Session, in_trees: Sequence[Progress]) -> None:
    """Stop abandoned children, and apply the end of runs to their trees."""
    execution_tree.stop(session, [child for progress in in_trees for child in progress.abandoned])
    if over := [progress.execution_id for progress in in_trees if progress.is_over]:
        execution_tree.ended(session, over)


def _values(batch: Sequence[Progress]) -> dict[str, str]:
    """The parameters of `RECORD`."""
    return {
        "runs": to_json([_totals(p) for p in batch]),
        "nodes": to_json([_node(p.execution_id, row) for p in batch for row in _last_per_step(p.nodes)]),
        "requests": to_json([_request(p.execution_id, row) for p in batch for row in p.nodes if row.request]),
        "events": to_json([_event(p.execution_id, row) for p in batch for row in p.events]),
    }


def _totals(progress: Progress) -> dict[str, Json]:
    ending = progress.ending
    totals: dict[str, Json] = {
        "id": progress.execution_id,
        "epoch": progress.epoch,
        "charged": str(progress.charged),
        "succeeded": progress.succeeded,
        "seq": progress.seq,
        "stored": progress.stored,
        "fuel": progress.fuel,
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
        "credits_due": str(row.due),
        "external_ref": row.external_ref,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }


def _request(execution_id: UUID, row: NodeRow) -> dict[str, Json]:
    """A request that is about to be sent; it counts whatever its outcome."""
    step = row.step
    return {"execution_id": execution_id, "node_id": step.node_id, "path": step.path, "request": row.request}


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
    """The last row of each step, because a statement may write a row only once and a step may change twice."""
    return {row.step: row for row in rows}.values()
