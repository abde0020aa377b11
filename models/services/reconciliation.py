"""The rows of reconciliation: one run of a kind at a time, what it found, and how far each kind came."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.reconciliation import (
    Action,
    ReconciliationFinding,
    ReconciliationRun,
    ReconciliationWatermark,
    RunKind,
    RunStatus,
)
from models.services.paging import Position, newest_first

_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")


@dataclass(frozen=True)
class Found:
    """One difference between us and Stripe, or within the ledger."""

    check: str
    subject: str  # an id, Stripe's or ours
    problem: str  # a word
    action: Action
    detail: str  # a sentence for the operator
    changes: Mapping[str, Any] | None = None  # {what: [before, after]}


@contextmanager
def alone(session: Session, kind: RunKind) -> Iterator[bool]:
    """Whether nobody else does a run of this kind; true holds until the block ends, or this connection does.

    The session is for nothing else: it must not be in a transaction while the run goes on.
    """
    name = {"name": f"reconciliation:{kind}"}
    connection = session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
    taken = bool(connection.scalar(_LOCK, name))
    try:
        yield taken
    finally:
        if taken:
            connection.scalar(_UNLOCK, name)


def is_due(session: Session, kind: RunKind, every: timedelta) -> bool:
    """Whether the last complete run of a kind began `every` ago or longer; rows remember what beat forgets."""
    began = select(func.max(ReconciliationRun.created_at)).where(
        ReconciliationRun.kind == kind,
        ReconciliationRun.status == RunStatus.DONE,
        ReconciliationRun.dry_run.is_(False),
    )
    return bool(session.scalar(select(func.coalesce(began.scalar_subquery() <= func.now() - every, True))))


def begin(session: Session, kind: RunKind, *, since: datetime, dry_run: bool) -> ReconciliationRun:
    """A new run; those of its kind that still say `running` were left by processes that died. Needs `alone`."""
    left = update(ReconciliationRun).where(
        ReconciliationRun.kind == kind, ReconciliationRun.status == RunStatus.RUNNING
    )
    session.execute(
        left.values(status=RunStatus.ABANDONED, finished_at=func.now(), error="Its process ended."),
        execution_options={"synchronize_session": False},
    )
    run = ReconciliationRun(kind=kind, since=since, dry_run=dry_run)
    session.add(run)
    session.flush()
    return run


def record(session: Session, run_id: UUID, found: Found) -> None:
    """Keep a finding."""
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
    """End a run with its counts; `error` says why it is incomplete, `reached` moves the watermark on, never back."""
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
    """Before this moment everything was compared; None before the first complete run."""
    return session.scalar(select(ReconciliationWatermark.reached).where(ReconciliationWatermark.kind == kind))


def runs(
    session: Session,
    *,
    kind: RunKind | None = None,
    limit: int = 50,
    offset: int = 0,
    after: Position | None = None,
) -> Sequence[ReconciliationRun]:
    """Runs, the newest first."""
    wanted = select(ReconciliationRun)
    if kind is not None:
        wanted = wanted.where(ReconciliationRun.kind == kind)
    return session.scalars(newest_first(wanted, ReconciliationRun, limit=limit, offset=offset, after=after)).all()


def run(session: Session, run_id: UUID) -> ReconciliationRun:
    """One run; raises `NotFound`."""
    found = session.get(ReconciliationRun, run_id)
    if found is None:
        raise NotFound("reconciliation")
    return found


def findings(session: Session, run_id: UUID, *, limit: int = 1000) -> Sequence[ReconciliationFinding]:
    """What a run found, in the order in which it did, at most `limit`."""
    mine = select(ReconciliationFinding).where(ReconciliationFinding.run_id == run_id)
    ordered = mine.order_by(ReconciliationFinding.created_at, ReconciliationFinding.id)
    return session.scalars(ordered.limit(limit)).all()


@dataclass(frozen=True)
class Standing:
    """What the metrics say of one kind of run."""

    kind: RunKind
    last_complete: datetime | None
    findings: Mapping[tuple[str, str], int]  # by check and action, dry runs left out


def standing(session: Session) -> list[Standing]:
    """Where every kind of run stands."""
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
    return [Standing(kind, last.get(kind), counts[kind]) for kind in RunKind]


def _complete() -> ColumnElement[bool]:
    return and_(ReconciliationRun.status == RunStatus.DONE, ReconciliationRun.dry_run.is_(False))


def prune(session: Session, *, older_than: timedelta, limit: int = 1000) -> int:
    """Remove old runs that found nothing, the oldest first; answers how many. What was found is kept."""
    quiet = (
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
    gone = delete(ReconciliationRun).where(ReconciliationRun.id.in_(quiet)).returning(ReconciliationRun.id)
    return len(session.execute(gone, execution_options={"synchronize_session": False}).all())
