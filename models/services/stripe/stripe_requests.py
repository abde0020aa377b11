"""Requests to Stripe: claimed by one worker, sent under one idempotency key, with one outcome.

A worker claims a request in a short transaction, calls Stripe outside of any, and records the outcome in another one.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from models.changes import notify_changed
from models.services.rows import inbox
from models.services.rows.queries import get_owned
from models.tables import RequestKind, RequestStatus, StripeRequest, User
from telemetry import correlation

STUCK = timedelta(seconds=60)  # after which the worker of a request is considered dead
KEY_LIVES = timedelta(hours=23)  # Stripe may remove a key after a day
MIN_WAIT, MAX_WAIT = 2.0, 300.0  # seconds; doubles with every try
MAX_ATTEMPTS = 200  # tries, over more than half a day

_PREFIX = {RequestKind.PURCHASE: "purchase", RequestKind.SUBSCRIPTION_CREATE: "sub"}


def add(
    session: Session, user: User, kind: RequestKind, params: Mapping[str, Any], *, subject_id: UUID | None = None
) -> StripeRequest:
    """Store a request with its parameters and its key; the caller enqueues the task."""
    request_id = uuid4()
    row = StripeRequest(
        id=request_id,
        user_id=user.id,
        kind=kind,
        request_id=correlation.request_id(),
        params=dict(params),
        subject_id=subject_id,
        key=_key(kind, _named_by(kind, request_id, subject_id), 1),
    )
    session.add(row)
    session.flush()
    return row


def close_account(session: Session, user_id: UUID) -> StripeRequest | None:
    """Request the end of a user's subscriptions and the removal of payment methods; pending requests fail.

    None if the user has no customer, or it was requested before.
    """
    waiting = select(StripeRequest).where(
        StripeRequest.user_id == user_id, StripeRequest.status.in_([RequestStatus.PENDING, RequestStatus.WORKING])
    )
    found = session.scalars(waiting).all()
    for row in found:
        if row.status is RequestStatus.PENDING and row.kind is not RequestKind.ACCOUNT_CLOSE:
            fail(session, row.id, code="account_closed", message="The account was closed or restored meanwhile.")
    user = session.get_one(User, user_id, populate_existing=True)
    if user.stripe_customer_id is None or any(row.kind is RequestKind.ACCOUNT_CLOSE for row in found):
        return None
    return add(session, user, RequestKind.ACCOUNT_CLOSE, {})


def update_address(session: Session, user: User) -> None:
    """Request that the user's customer at Stripe, if any, gets the address that is verified when a worker does it."""
    if user.stripe_customer_id is not None:
        add(session, user, RequestKind.CUSTOMER_UPDATE, {})


def get(session: Session, owner: User, request_id: UUID) -> StripeRequest:
    """A request of `owner`; raises `NotFound`."""
    return get_owned(session, StripeRequest, owner, request_id, what="request")


def finish_times(session: Session, ids: Collection[UUID]) -> dict[UUID, datetime | None]:
    """When each of the requests `ids` was over, None while it is not: the version that clients wait to change."""
    found = select(StripeRequest.id, StripeRequest.finished_at).where(StripeRequest.id.in_(ids))
    return {row.id: row.finished_at for row in session.execute(found)}


def claim(session: Session, request_id: UUID) -> StripeRequest | None:
    """Claim a request that is due; None if it has an outcome, another worker has it, or it is too early."""
    row = inbox.claim(session, StripeRequest, StripeRequest.id == request_id, _is_claimable())
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


def must_find_existing(request: StripeRequest) -> bool:
    """Whether Stripe may have removed the key, so that the worker must search for an existing object first."""
    started = request.attempt_started_at
    return started is not None and datetime.now(UTC) - started > KEY_LIVES


def new_attempt(session: Session, request_id: UUID) -> StripeRequest:
    """Begin a new attempt under a new key; calls of later attempts search for existing objects first."""
    row = _locked(session, request_id)
    number = row.attempt + 1
    key = _key(row.kind, _named_by(row.kind, row.id, row.subject_id), number)
    return _set(session, request_id, attempt=number, key=key, attempt_started_at=func.clock_timestamp())


def succeed(session: Session, request_id: UUID, body: Mapping[str, Any]) -> bool:
    """Record success with the body of the API's response; returns False if there is an outcome, which stays."""
    return _finish(session, request_id, status=RequestStatus.DONE, result=dict(body))


def fail(session: Session, request_id: UUID, *, code: str, message: str, declined: bool = False) -> bool:
    """Record a final failure, `declined` if by a bank; returns False if there is an outcome, which stays."""
    error = {"code": code, "message": message, "declined": declined}
    return _finish(session, request_id, status=RequestStatus.FAILED, error=error)


def retry_later(session: Session, request_id: UUID, reason: str, *, after: float | None = None) -> None:
    """Schedule another try under the same key, after `after` seconds or a growing wait.

    After `MAX_ATTEMPTS` the request fails with the code `gave_up`; reconciliation finds out whether it had an effect.
    """
    row = _locked(session, request_id)
    if row.status in (RequestStatus.DONE, RequestStatus.FAILED):
        return
    # The closing of an account is retried without end, because a deleted user must not be charged.
    if row.tries >= MAX_ATTEMPTS and row.kind is not RequestKind.ACCOUNT_CLOSE:
        fail(session, request_id, code="gave_up", message="The payment service could not be reached. Try again later.")
        return
    seconds = after if after is not None else min(MIN_WAIT * 2 ** min(row.tries, 10), MAX_WAIT)
    next_try = func.clock_timestamp() + timedelta(seconds=seconds)
    _set(session, request_id, status=RequestStatus.PENDING, next_try_at=next_try, last_error=reason[:500])


def due(session: Session, *, limit: int = 200, again: float = 10.0) -> Sequence[UUID]:
    """Requests to enqueue: those that lost their message, are due again, or whose worker died.

    Marks them as enqueued; a request is returned again after `again` seconds at the earliest.
    """
    enqueued_at = func.coalesce(StripeRequest.enqueued_at, StripeRequest.created_at)
    return inbox.take_due(
        session,
        StripeRequest.id,
        _is_claimable(),
        enqueued_at < func.now() - timedelta(seconds=again),
        oldest=StripeRequest.created_at,
        limit=limit,
        enqueued_at=func.now(),
    )


def _is_claimable() -> ColumnElement[bool]:
    now = func.clock_timestamp()
    early = StripeRequest.next_try_at > now
    waiting = and_(StripeRequest.status == RequestStatus.PENDING, func.coalesce(early, False).is_(False))
    stuck = and_(StripeRequest.status == RequestStatus.WORKING, StripeRequest.started_at < now - STUCK)
    return or_(waiting, stuck)


def _finish(session: Session, request_id: UUID, **values: Any) -> bool:
    unfinished = StripeRequest.status.in_([RequestStatus.PENDING, RequestStatus.WORKING])
    done = update(StripeRequest).where(StripeRequest.id == request_id, unfinished)
    done = done.values(finished_at=func.clock_timestamp(), next_try_at=None, **values).returning(StripeRequest)
    is_first = session.scalar(done, execution_options={"populate_existing": True}) is not None
    if is_first:
        notify_changed(session, request_id)
    return is_first


def _locked(session: Session, request_id: UUID) -> StripeRequest:
    row = select(StripeRequest).where(StripeRequest.id == request_id).with_for_update()
    return session.scalars(row.execution_options(populate_existing=True)).one()


def _set(session: Session, request_id: UUID, **values: Any) -> StripeRequest:
    """Set columns and return the current row."""
    changed = update(StripeRequest).where(StripeRequest.id == request_id).values(**values).returning(StripeRequest)
    return session.scalars(changed, execution_options={"populate_existing": True}).one()


def _named_by(kind: RequestKind, request_id: UUID, subject_id: UUID | None) -> UUID:
    """The id in a request's key: its subject, or its own id, as for cancellations, which may be requested again."""
    return request_id if subject_id is None or kind is RequestKind.PURCHASE_CANCEL else subject_id


def _key(kind: RequestKind, subject: UUID, attempt: int) -> str:
    return f"{_PREFIX.get(kind, kind.replace('_', '-'))}-{subject}-a{attempt}"
