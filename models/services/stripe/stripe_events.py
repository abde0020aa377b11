"""Events received from Stripe: stored once, claimed by one worker, retried, and never dropped.

A worker counts an attempt in a short transaction (`begin`). In a second one it claims the event, reads the object from
Stripe, applies it, and calls `done`. If that fails, `retry_later` stores in a third one when to retry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import Conflict, NotFound
from models.rules.stripe.billing import EVENTS
from models.services.operations import alerts
from models.services.rows import inbox
from models.tables import EventStatus, StripeEvent
from telemetry import correlation

MAX_ATTEMPTS = 12
MIN_WAIT, MAX_WAIT = 2.0, 3600.0  # seconds; doubles with every attempt, over two hours in total
STUCK = timedelta(seconds=60)  # after which the worker of an attempt is considered dead

_LONG_AGO = text("'-infinity'::timestamptz")
_NEWEST_AGE = text("SELECT extract(epoch FROM now() - max(created))::float FROM stripe_events")
_OPEN = (EventStatus.RECEIVED, EventStatus.WAITING)


@dataclass(frozen=True)
class Backlog:
    """The number of open events, when the oldest of them was received, and the number of dead ones."""

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
    """Store an event once; returns True if it is new and has to be enqueued.

    Args:
        session: the session of the transaction.
        event_id: Stripe's id.
        type: Stripe's type; events of types that we do not handle are stored as ignored.
        api_version: the version of Stripe's API that the event has.
        created: aware, by Stripe's clock.
        livemode: whether it is about real money.
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
        request_id=correlation.request_id(),
        status=EventStatus.RECEIVED if known else EventStatus.IGNORED,
        handled_at=None if known else func.now(),
    )
    stored = session.scalar(row.on_conflict_do_nothing().returning(StripeEvent.id))
    return stored is not None and known


def lock(session: Session, stripe_id: str) -> None:
    """Lock an object of Stripe until the transaction ends. Call this before the object is read from Stripe."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:id, 42))"), {"id": stripe_id})


def begin(session: Session, event_id: str) -> StripeEvent | None:
    """Count an attempt, in a transaction of its own; returns None if the event is not to be handled now.

    Attempts are counted at their start, so that an event that kills its worker becomes a dead letter too.
    """
    row = inbox.claim(session, StripeEvent, StripeEvent.id == event_id, *_is_due())
    if row is None:
        return None
    if row.attempts >= MAX_ATTEMPTS:
        _mark_dead(session, row, row.error or "Every worker that tried to handle it died.")
        return None
    _set(session, event_id, attempts=StripeEvent.attempts + 1, begun_at=func.clock_timestamp())
    return row


def claim(session: Session, event_id: str) -> StripeEvent | None:
    """Lock an event in the transaction of its effect; None if it was handled meanwhile.

    Waits for the lock instead of skipping the row, because a late `begin` of another worker may hold it for a moment,
    and the event would be left to the sweep.
    """
    unhandled = select(StripeEvent).where(StripeEvent.id == event_id, StripeEvent.status.in_(_OPEN))
    return session.scalar(unhandled.with_for_update().execution_options(populate_existing=True))


def done(session: Session, event_id: str) -> None:
    """Mark the event as processed, in the transaction of its effect."""
    _end(session, event_id, EventStatus.DONE)


def ignored(session: Session, event_id: str) -> None:
    """Mark the event as ignored, because it is not about our objects."""
    _end(session, event_id, EventStatus.IGNORED)


def retry_later(
    session: Session, event_id: str, reason: str, *, counts: bool = True, after: float | None = None
) -> None:
    """Schedule another attempt, or mark the event as dead after the last one. The effect must be rolled back.

    Args:
        session: the session of the transaction.
        event_id: the event.
        reason: why the attempt failed, as a sentence; also the reason of a dead letter.
        counts: False if the event is not the cause, such as in an outage of Stripe.
        after: seconds until the next attempt; None for a growing wait.
    """
    row = _locked(session, event_id)
    if row.status not in _OPEN:
        return
    if counts and row.attempts >= MAX_ATTEMPTS:
        _mark_dead(session, row, reason)
        return
    seconds = after if after is not None else min(MIN_WAIT * 2 ** max(row.attempts - 1, 0), MAX_WAIT)
    _set(
        session,
        event_id,
        status=EventStatus.WAITING,
        attempts=row.attempts if counts else max(row.attempts - 1, 0),
        begun_at=None,
        next_try_at=func.clock_timestamp() + timedelta(seconds=seconds),
        error=reason[:2000],
    )


def give_up(session: Session, event_id: str, reason: str) -> None:
    """Mark the event as dead and raise an alert, because a retry cannot help."""
    row = _locked(session, event_id)
    if row.status in _OPEN:
        _mark_dead(session, row, reason)


def due(session: Session, *, limit: int = 500, again: float = 10.0) -> Sequence[str]:
    """Events to enqueue: those that lost their message, are due again, or whose worker died.

    Marks them as enqueued; an event is returned again after `again` seconds at the earliest.
    """
    enqueued_at = func.coalesce(StripeEvent.enqueued_at, StripeEvent.received_at)
    return inbox.take_due(
        session,
        StripeEvent.id,
        *_is_due(),
        enqueued_at < func.now() - timedelta(seconds=again),
        oldest=StripeEvent.received_at,
        limit=limit,
        enqueued_at=func.now(),
    )


def retry_dead(session: Session, event_id: str) -> None:
    """Make a dead event due, for the caller to enqueue; raises `NotFound`, and `Conflict` if it is not dead."""
    status = session.scalar(select(StripeEvent.status).where(StripeEvent.id == event_id).with_for_update())
    if status is None:
        raise NotFound("event")
    if status is not EventStatus.DEAD:
        raise Conflict(f"This event is {status}, not dead.")
    _set(session, event_id, status=EventStatus.RECEIVED, attempts=0, begun_at=None, next_try_at=None, enqueued_at=None)


def backlog(session: Session) -> Backlog:
    """The backlog of events."""
    is_open = StripeEvent.status.in_(_OPEN)
    waiting, oldest = session.execute(select(func.count(), func.min(StripeEvent.received_at)).where(is_open)).one()
    dead = select(func.count()).where(StripeEvent.status == EventStatus.DEAD)
    return Backlog(waiting, oldest, session.execute(dead).scalar_one())


def newest_age(session: Session) -> float | None:
    """Seconds since the newest event was created at Stripe; None if there is none."""
    age: float | None = session.scalar(_NEWEST_AGE)
    return age


def _is_due() -> Sequence[ColumnElement[bool]]:
    now = func.clock_timestamp()
    return (
        StripeEvent.status.in_(_OPEN),
        func.coalesce(StripeEvent.next_try_at, _LONG_AGO) <= now,
        func.coalesce(StripeEvent.begun_at, _LONG_AGO) < now - STUCK,
    )


def _mark_dead(session: Session, row: StripeEvent, reason: str) -> None:
    detail = f"The event {row.id} ({row.type}) was given up: {reason}"
    key = f"dead:{row.id}:{uuid4()}"  # a retried event that dies again raises a new alert
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
