"""Stripe's events from the door to their effect: stored once, claimed by one worker, tried a few times, never dropped.

A worker counts its attempt in a short transaction (`begin`), then claims, reads the object again and takes effect in
one transaction that ends with `done`; when that one fails, `wait` says in a third when to try again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound
from models.rules.billing import EVENTS
from models.services import alerts
from models.stripe_event import EventStatus, StripeEvent

MOST_ATTEMPTS = 12
FIRST_WAIT, LONGEST_WAIT = 2.0, 3600.0  # seconds; doubles with every attempt: over two hours in all
STUCK = timedelta(seconds=60)  # after which an attempt is taken for dead

_LONG_AGO = text("'-infinity'::timestamptz")
_OPEN = (EventStatus.RECEIVED, EventStatus.WAITING)

_DUE = text("""
    UPDATE stripe_events SET rung_at = now()
     WHERE id IN (
        SELECT id FROM stripe_events
         WHERE status IN ('received', 'waiting')
           AND coalesce(rung_at, received_at) < now() - make_interval(secs => :again)
           AND coalesce(next_try_at, '-infinity') <= now()
           AND coalesce(begun_at, '-infinity') < now() - make_interval(secs => :stuck)
         ORDER BY received_at LIMIT :limit
           FOR UPDATE SKIP LOCKED)
 RETURNING id
""")


@dataclass(frozen=True)
class Backlog:
    """Events that are not handled yet, since when the oldest waits, and those that nobody will try again."""

    waiting: int
    oldest: datetime | None
    dead: int


def receive(
    session: Session,
    *,
    event_id: str,
    type: str,
    api_version: str | None,
    created: datetime,
    livemode: bool,
    raw: bytes,
) -> bool:
    """Store an event once; True when it is new and has to be handled, so that a bell is due.

    Args:
        event_id: Stripe's.
        created: aware; by Stripe's clock.
        raw: the body as it was signed.
    """
    known = type in EVENTS
    row = insert(StripeEvent).values(
        id=event_id,
        type=type[:100],
        api_version=api_version,
        created=created,
        livemode=livemode,
        raw=raw,
        status=EventStatus.RECEIVED if known else EventStatus.IGNORED,
        handled_at=None if known else func.now(),
    )
    stored = session.scalar(row.on_conflict_do_nothing().returning(StripeEvent.id))
    return stored is not None and known


def lock(session: Session, stripe_id: str) -> None:
    """Let one transaction at a time act on this object of Stripe's. Take it before the object is read from there."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:id, 42))"), {"id": stripe_id})


def begin(session: Session, event_id: str) -> bool:
    """Count an attempt, in a transaction of its own; False when there is nothing to do now.

    Counted before it is made, so that an event that kills its worker ends as a dead letter too.
    """
    row = session.scalar(
        select(StripeEvent)
        .where(
            StripeEvent.id == event_id,
            StripeEvent.status.in_(_OPEN),
            func.coalesce(StripeEvent.next_try_at, _LONG_AGO) <= func.clock_timestamp(),
            func.coalesce(StripeEvent.begun_at, _LONG_AGO) < func.clock_timestamp() - STUCK,
        )
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    if row is None:
        return False
    if row.attempts >= MOST_ATTEMPTS:
        _bury(session, row, row.error or "Every worker that tried to handle it died.")
        return False
    _set(session, event_id, attempts=StripeEvent.attempts + 1, begun_at=func.clock_timestamp())
    return True


def claim(session: Session, event_id: str) -> StripeEvent | None:
    """Take an event for the transaction of its effect; None when it is over.

    Waits for whoever holds the row. It must not be skipped: another worker's `begin` that comes too late holds it for a
    moment as well, and the event would then be left to the sweep.
    """
    mine = select(StripeEvent).where(StripeEvent.id == event_id, StripeEvent.status.in_(_OPEN))
    return session.scalar(mine.with_for_update().execution_options(populate_existing=True))


def done(session: Session, event_id: str) -> None:
    """It took effect: say so in the transaction of the effect."""
    _end(session, event_id, EventStatus.DONE)


def ignored(session: Session, event_id: str) -> None:
    """It is not about anything of ours."""
    _end(session, event_id, EventStatus.IGNORED)


def wait(session: Session, event_id: str, reason: str, *, counts: bool = True, after: float | None = None) -> None:
    """Try again later: in `after` seconds, or after a growing wait. The effect must have been rolled back.

    Args:
        reason: a sentence that ends as the dead letter's, when this was the last attempt.
        counts: False when the event is not to blame, such as for an outage of Stripe's.
    """
    row = _locked(session, event_id)
    if row.status not in _OPEN:
        return
    if counts and row.attempts >= MOST_ATTEMPTS:
        _bury(session, row, reason)
        return
    seconds = after if after is not None else min(FIRST_WAIT * 2 ** max(row.attempts - 1, 0), LONGEST_WAIT)
    _set(
        session,
        event_id,
        status=EventStatus.WAITING,
        attempts=row.attempts if counts else max(row.attempts - 1, 0),
        begun_at=None,
        next_try_at=func.clock_timestamp() + timedelta(seconds=seconds),
        error=reason[:2000],
    )


def dead(session: Session, event_id: str, reason: str) -> None:
    """Give up at once: trying again cannot help."""
    row = _locked(session, event_id)
    if row.status in _OPEN:
        _bury(session, row, reason)


def due(session: Session, *, limit: int = 500, again: float = 10.0) -> Sequence[str]:
    """Events to ring for now: those whose bell was lost, whose wait is over, or whose worker died. Marks them."""
    asked = {"limit": limit, "again": again, "stuck": STUCK.total_seconds()}
    return session.scalars(_DUE, asked).all()


def retry_dead(session: Session, event_id: str) -> None:
    """Let a dead event be tried afresh; ring for it. Raises `NotFound`, and `Conflict` when it is not dead."""
    status = session.scalar(select(StripeEvent.status).where(StripeEvent.id == event_id).with_for_update())
    if status is None:
        raise NotFound("event")
    if status is not EventStatus.DEAD:
        raise Conflict(f"This event is {status}, not dead.")
    _set(session, event_id, status=EventStatus.RECEIVED, attempts=0, begun_at=None, next_try_at=None, rung_at=None)


def backlog(session: Session) -> Backlog:
    """How far behind we are."""
    is_open = StripeEvent.status.in_(_OPEN)
    waiting, oldest = session.execute(select(func.count(), func.min(StripeEvent.received_at)).where(is_open)).one()
    gone = select(func.count()).where(StripeEvent.status == EventStatus.DEAD)
    return Backlog(waiting, oldest, session.execute(gone).scalar_one())


def _bury(session: Session, row: StripeEvent, reason: str) -> None:
    detail = f"The event {row.id} ({row.type}) was given up: {reason}"
    key = f"dead:{row.id}:{uuid4()}"  # each time it dies is news
    _set(session, row.id, status=EventStatus.DEAD, error=reason[:2000], begun_at=None, next_try_at=None)
    alerts.add(session, kind="dead_event", subject=row.id, detail=detail, key=key)


def _end(session: Session, event_id: str, status: EventStatus) -> None:
    now = func.clock_timestamp()
    _set(session, event_id, status=status, handled_at=now, begun_at=None, next_try_at=None, error=None)


def _locked(session: Session, event_id: str) -> StripeEvent:
    row = select(StripeEvent).where(StripeEvent.id == event_id).with_for_update()
    return session.scalars(row.execution_options(populate_existing=True)).one()


def _set(session: Session, event_id: str, **values: Any) -> None:
    changed = update(StripeEvent).where(StripeEvent.id == event_id).values(**values)
    session.execute(changed.execution_options(synchronize_session="fetch"))
