"""What users want from Stripe: claimed by one worker, asked under one key, answered once.

A worker claims in one short transaction, asks Stripe without one, and records the outcome in another.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, func, or_, select, text, update
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.stripe_request import RequestKind, RequestStatus, StripeRequest
from models.user import User

STUCK = timedelta(seconds=60)  # after which a worker that took it is taken for dead
KEY_LIVES = timedelta(hours=23)  # Stripe may forget a key after a day
FIRST_WAIT, LONGEST_WAIT = 2.0, 300.0  # seconds
MOST_TRIES = 200  # at five minutes each: the better part of a day

_PREFIX = {RequestKind.PURCHASE: "purchase", RequestKind.SUBSCRIPTION_CREATE: "sub"}

_DUE = text("""
    UPDATE stripe_requests SET rung_at = now()
     WHERE id IN (
        SELECT id FROM stripe_requests
         WHERE status IN ('pending', 'working')
           AND coalesce(rung_at, created_at) < now() - make_interval(secs => :again)
           AND coalesce(next_try_at, '-infinity') <= now()
           AND (status = 'pending' OR started_at < now() - make_interval(secs => :stuck))
         ORDER BY created_at LIMIT :limit
           FOR UPDATE SKIP LOCKED)
 RETURNING id
""")


def add(
    session: Session, user: User, kind: RequestKind, params: Mapping[str, Any], *, subject_id: UUID | None = None
) -> StripeRequest:
    """Write down a wish with its parameters and its key; the doorbell is the caller's to ring."""
    request_id = uuid4()
    row = StripeRequest(
        id=request_id,
        user_id=user.id,
        kind=kind,
        params=dict(params),
        subject_id=subject_id,
        key=_key(kind, subject_id or request_id, 1),
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, owner: User, request_id: UUID) -> StripeRequest:
    """One wish of `owner`'s, as the database has it now; raises `NotFound`."""
    mine = select(StripeRequest).where(StripeRequest.id == request_id, StripeRequest.user_id == owner.id)
    row = session.scalar(mine.execution_options(populate_existing=True))
    if row is None:
        raise NotFound("request")
    return row


def claim(session: Session, request_id: UUID) -> StripeRequest | None:
    """Take a wish that is due; None when it is over, another worker has it, or it is too early to try again."""
    row = session.scalar(
        select(StripeRequest)
        .where(StripeRequest.id == request_id, _takeable())
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    if row is None:
        return None
    now = func.clock_timestamp()
    first = func.coalesce(StripeRequest.attempt_started_at, now)
    return _set(
        session,
        row.id,
        status=RequestStatus.WORKING,
        started_at=now,
        attempt_started_at=first,
        tries=StripeRequest.tries + 1,
        next_try_at=None,
    )


def must_look_up(request: StripeRequest, *, now: datetime | None = None) -> bool:
    """Whether Stripe may have forgotten the key: then look for our metadata first, and use a new attempt if need be."""
    started = request.attempt_started_at
    return started is not None and (now or datetime.now(UTC)) - started > KEY_LIVES


def new_attempt(session: Session, request_id: UUID) -> StripeRequest:
    """Begin again under a new key: only after it was looked up that the old one had no effect."""
    row = _locked(session, request_id)
    number = row.attempt + 1
    key = _key(row.kind, row.subject_id or row.id, number)
    return _set(session, request_id, attempt=number, key=key, attempt_started_at=func.clock_timestamp())


def succeed(session: Session, request_id: UUID, answer: Mapping[str, Any]) -> bool:
    """Record the answer for the API; False when there was an outcome before, which then stays."""
    return _finish(session, request_id, status=RequestStatus.DONE, answer=dict(answer))


def fail(session: Session, request_id: UUID, *, code: str, message: str, declined: bool = False) -> bool:
    """Record a refusal for good, `declined` when it was a bank's; False when there was an outcome before: it stays."""
    error = {"code": code, "message": message, "declined": declined}
    return _finish(session, request_id, status=RequestStatus.FAILED, error=error)


def retry_later(session: Session, request_id: UUID, reason: str, *, after: float | None = None) -> None:
    """Leave it for a later try under the same key, after `after` seconds or a growing wait.

    One that was tried too often fails with the code `gave_up`: reconciliation finds out what became of it.
    """
    row = _locked(session, request_id)
    if row.status in (RequestStatus.DONE, RequestStatus.FAILED):
        return
    if row.tries >= MOST_TRIES:
        fail(session, request_id, code="gave_up", message="The payment service could not be reached. Try again later.")
        return
    seconds = after if after is not None else min(FIRST_WAIT * 2 ** min(row.tries, 10), LONGEST_WAIT)
    next_try = func.clock_timestamp() + timedelta(seconds=seconds)
    _set(session, request_id, status=RequestStatus.PENDING, next_try_at=next_try, last_error=reason[:500])


def due(session: Session, *, limit: int = 200, again: float = 10.0) -> Sequence[UUID]:
    """Wishes to ring for now: forgotten, due again, or taken by a worker that died. Marks them as rung."""
    asked = {"limit": limit, "again": again, "stuck": STUCK.total_seconds()}
    return session.scalars(_DUE, asked).all()


def _takeable() -> ColumnElement[bool]:
    now = func.clock_timestamp()
    early = StripeRequest.next_try_at > now
    waiting = and_(StripeRequest.status == RequestStatus.PENDING, func.coalesce(early, False).is_(False))
    stuck = and_(StripeRequest.status == RequestStatus.WORKING, StripeRequest.started_at < now - STUCK)
    return or_(waiting, stuck)


def _finish(session: Session, request_id: UUID, **values: Any) -> bool:
    unfinished = StripeRequest.status.in_([RequestStatus.PENDING, RequestStatus.WORKING])
    done = update(StripeRequest).where(StripeRequest.id == request_id, unfinished)
    done = done.values(finished_at=func.clock_timestamp(), next_try_at=None, **values).returning(StripeRequest)
    return session.scalar(done, execution_options={"populate_existing": True}) is not None


def _locked(session: Session, request_id: UUID) -> StripeRequest:
    row = select(StripeRequest).where(StripeRequest.id == request_id).with_for_update()
    return session.scalars(row.execution_options(populate_existing=True)).one()


def _set(session: Session, request_id: UUID, **values: Any) -> StripeRequest:
    """Write columns, and read the row back as the database has it now."""
    changed = update(StripeRequest).where(StripeRequest.id == request_id).values(**values).returning(StripeRequest)
    return session.scalars(changed, execution_options={"populate_existing": True}).one()


def _key(kind: RequestKind, subject: UUID, attempt: int) -> str:
    return f"{_PREFIX.get(kind, kind.replace('_', '-'))}-{subject}-a{attempt}"
