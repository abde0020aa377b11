"""Rows of reconciliation: runs (one at a time of each kind), their findings, and the watermarks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.services.rows.queries import Position, newest_first
from models.tables import Action, ReconciliationFinding, ReconciliationRun, ReconciliationWatermark, RunKind, RunStatus


@dataclass(frozen=True)
class Found:
    """A difference between our rows and Stripe, or within the ledger."""

    check: str  # the comparison that found it
    subject: str  # an id, Stripe's or ours
    problem: str  # the kind of difference, such as `amount_differs`
    action: Action
    detail: str  # a sentence for the operator
    changes: Mapping[str, Any] | None = None  # {field: [before, after]}


def is_due(session: Session, kind: RunKind, every: timedelta) -> bool:
    """Whether the last complete run of a kind began at least `every` ago; this is stored, because beat has no state."""
    began = select(func.max(ReconciliationRun.created_at)).where(
        ReconciliationRun.kind == kind,
        ReconciliationRun.status == RunStatus.DONE,
        ReconciliationRun.dry_run.is_(False),
    )
    return bool(session.scalar(select(func.coalesce(began.scalar_subquery() <= func.now() - every, True))))


def begin(session: Session, kind: RunKind, *, since: datetime, dry_run: bool) -> ReconciliationRun:
    """Insert a new run, and mark runs of its kind whose processes died as abandoned.

    The caller holds the lease of this kind.
    """
    abandoned = update(ReconciliationRun).where(
        ReconciliationRun.kind == kind, ReconciliationRun.status == RunStatus.RUNNING
    )
    session.execute(
        abandoned.values(status=RunStatus.ABANDONED, finished_at=func.now(), error="Its process ended."),
        execution_options={"synchronize_session": False},
    )
    run = ReconciliationRun(kind=kind, since=since, dry_run=dry_run)
    session.add(run)
    session.flush()
    return run


def record(session: Session, run_id: UUID, found: Found) -> None:
    """Store a finding of a run."""
    session.add(
        ReconciliationFinding(
            run_id=run_id,
            check=found.check,
            subject=found.subject[:255],
            problem=found.problem,
            action=found.action,
            detail=found.detail,
            changes=dict(found.changes) if found.changes is not None else None,
        )
    )
    session.flush()


def finish(session: Session, run_id: UUID, *, checked: int, error: str | None, reached: datetime | None) -> None:
    """End a run and store its counts; `error` says why it is incomplete, `reached` may raise the watermark."""
    counts = dict(
        session.execute(
            select(ReconciliationFinding.action, func.count())
            .where(ReconciliationFinding.run_id == run_id)
            .group_by(ReconciliationFinding.action)
        )
        .tuples()
        .all()
    )
    run = session.get_one(ReconciliationRun, run_id, with_for_update=True)
    run.status = RunStatus.INCOMPLETE if error else RunStatus.DONE
    run.finished_at, run.checked, run.error = func.clock_timestamp(), checked, error
    run.repaired = counts.get(Action.REPAIRED, 0) + counts.get(Action.REPAIRABLE, 0)
    run.reported, run.failed = counts.get(Action.REPORTED, 0), counts.get(Action.FAILED, 0)
    if reached is not None:
        mark = insert(ReconciliationWatermark).values(kind=run.kind, reached=reached)
        further = func.greatest(ReconciliationWatermark.reached, mark.excluded.reached)
        session.execute(
            mark.on_conflict_do_update(index_elements=["kind"], set_={"reached": further, "updated_at": func.now()})
        )
    session.flush()


def watermark(session: Session, kind: RunKind) -> datetime | None:
    """The time until which all objects were compared; None before the first complete run."""
    return session.scalar(select(ReconciliationWatermark.reached).where(ReconciliationWatermark.kind == kind))


def runs(
    session: Session,
    *,
    kind: RunKind | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[ReconciliationRun]:
    """A page of runs, newest first."""
    query = select(ReconciliationRun)
    if kind is not None:
        query = query.where(ReconciliationRun.kind == kind)
    return session.scalars(newest_first(query, ReconciliationRun, limit=limit, offset=offset, after=after)).all()


def run(session: Session, run_id: UUID) -> ReconciliationRun:
    """A run by its id; raises `NotFound`."""
    found = session.get(ReconciliationRun, run_id)
    if found is None:
        raise NotFound("reconciliation")
    return found


def findings(session: Session, run_id: UUID, *, limit: int = 1000) -> Sequence[ReconciliationFinding]:
    """The findings of a run in the order in which they were found, at most `limit`."""
    found = select(ReconciliationFinding).where(ReconciliationFinding.run_id == run_id)
    ordered = found.order_by(ReconciliationFinding.created_at, ReconciliationFinding.id)
    return session.scalars(ordered.limit(limit)).all()


@dataclass(frozen=True)
class ReconciliationStatus:
    """The state of a kind of run, for metrics."""

    kind: RunKind
    last_complete: datetime | None  # when the last complete run began
    findings: Mapping[tuple[str, str], int]  # by check and action, without dry runs


def status(session: Session) -> list[ReconciliationStatus]:
    """The state of every kind of run."""
    actual = and_(ReconciliationRun.dry_run.is_(False), ReconciliationRun.id == ReconciliationFinding.run_id)
    rows = session.execute(
        select(ReconciliationRun.kind, ReconciliationFinding.check, ReconciliationFinding.action, func.count())
        .join(ReconciliationRun, actual)
        .group_by(ReconciliationRun.kind, ReconciliationFinding.check, ReconciliationFinding.action)
    ).all()
    last = dict(
        session.execute(
            select(ReconciliationRun.kind, func.max(case((_complete(), ReconciliationRun.created_at)))).group_by(
                ReconciliationRun.kind
            )
        )
        .tuples()
        .all()
    )
    counts: dict[RunKind, Counter[tuple[str, str]]] = {kind: Counter() for kind in RunKind}
    for kind, check, action, number in rows:
        counts[kind][check, action.value] += number
    return [ReconciliationStatus(kind, last.get(kind), counts[kind]) for kind in RunKind]


def missed_events(session: Session, *, within: timedelta) -> int:
    """The number of Stripe's events that did not arrive by the webhook and were found by reconciliation instead."""
    recent = ReconciliationFinding.created_at > func.now() - within
    missing = and_(recent, ReconciliationFinding.check == "events", ReconciliationFinding.problem == "missing_here")
    return session.execute(select(func.count()).where(missing)).scalar_one()


def _complete() -> ColumnElement[bool]:
    return and_(ReconciliationRun.status == RunStatus.DONE, ReconciliationRun.dry_run.is_(False))


def prune(session: Session, *, older_than: timedelta, limit: int = 1000) -> int:
    """Remove at most `limit` old runs without findings, oldest first; returns how many."""
    without_findings = (
        select(ReconciliationRun.id)
        .where(
            ReconciliationRun.created_at < func.now() - older_than,
            ~or_(
                ReconciliationRun.repaired > 0,
                ReconciliationRun.reported > 0,
                ReconciliationRun.failed > 0,
            ),
        )
        .order_by(ReconciliationRun.created_at)
        .limit(limit)
    )
    removed = (
        delete(ReconciliationRun).where(ReconciliationRun.id.in_(without_findings)).returning(ReconciliationRun.id)
    )
    return len(session.execute(removed, execution_options={"synchronize_session": False}).all())
