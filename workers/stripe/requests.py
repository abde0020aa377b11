"""Perform users' requests at Stripe: claim the row, call Stripe without a transaction, record the result.

A worker may die between any two of these. The next one uses the same idempotency key and so gets the same response;
when a key cannot be trusted any more, it first looks up the earlier try's effect and only then uses a new key.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.db import session_scope
from models.services.operations import alerts
from models.services.stripe import purchases, stripe_requests
from models.tables import Purchase, PurchaseStatus, RequestKind, RequestStatus, StripeRequest
from telemetry import correlation
from workers.gateways.stripe.errors import (
    StripeBroken,
    StripeDeclined,
    StripeFailed,
    StripeKeyReused,
    StripeMisconfigured,
    StripeRefused,
)
from workers.stripe import customers
from workers.stripe.operation_result import OperationResult
from workers.stripe.operations import OPERATIONS
from workers.stripe.results import stripe_result
from workers.stripe.sync import StripeSync

log = structlog.get_logger(__name__)

OURS = (RequestKind.ACCOUNT_CLOSE, RequestKind.PURCHASE_CANCEL)  # requests that the system makes, not the user
AT_ONCE = 3  # tries in a row under new keys, before the row waits for a later message


class _Overtaken(Exception):
    """This worker took too long, and another one has claimed the row."""


def perform(stripe: StripeSync, request_id: UUID) -> None:
    """Perform a request as far as possible now. Safe to call at any time, repeatedly and concurrently."""
    for _ in range(AT_ONCE):
        with session_scope() as session:
            operation = stripe_requests.claim(session, request_id)
        if operation is None:
            return
        with correlation.bound(request_id=operation.request_id, stripe_request_id=operation.id):
            try:
                if _try(stripe, operation):
                    return
            except _Overtaken:
                log.warning("stripe_request.overtaken")
                return


def _try(stripe: StripeSync, operation: StripeRequest) -> bool:
    """Make one try; return False if it should be repeated at once, True if the row is settled or waits."""
    customer: str | None = None
    try:
        customer = _customer(stripe, operation)
        if customer is None:
            _record(stripe, operation, OperationResult({}))
            return True
        _record(stripe, operation, _ask(stripe, operation, customer))
    except StripeDeclined as error:
        _declined(operation, error)
    except (StripeRefused, StripeMisconfigured) as error:
        if isinstance(error, StripeRefused) and error.missing and error.param == "customer" and customer:
            customers.forget(customer)
            return _begin_again(operation, error)
        _refused(operation, error)
    except (StripeBroken, StripeKeyReused) as error:
        return _begin_again(operation, error)
    except StripeFailed as error:
        with _still_ours(operation) as session:
            stripe_requests.retry_later(session, operation.id, f"{error.code}: {error.reason}", after=error.retry_after)
    return True


def _customer(stripe: StripeSync, operation: StripeRequest) -> str | None:
    """The user's customer; None when the system ends things for a user without one: then there is nothing to end."""
    if operation.kind not in OURS:
        return customers.ensure(stripe.gateway, operation.user_id)
    with session_scope() as session:
        return customers.known(session, operation.user_id)


def _ask(stripe: StripeSync, operation: StripeRequest, customer: str) -> OperationResult:
    """Call Stripe, under a new key after looking for the effect of an earlier try where that is needed."""
    if stripe_requests.must_find_existing(operation):
        with _still_ours(operation) as session:
            operation = stripe_requests.new_attempt(session, operation.id)
    return OPERATIONS[operation.kind](stripe, operation, customer)


def _record(stripe: StripeSync, operation: StripeRequest, made: OperationResult) -> None:
    """Sync the affected objects, each in its own transaction, and store the result."""
    for subject, stripe_id in made.sync:
        with session_scope() as session:
            stripe.sync(session, subject, stripe_id)
    with session_scope() as session:
        if operation.kind is RequestKind.PURCHASE:
            purchases.sync_intent(session, made.object, fresh=False)
        if operation.kind is RequestKind.PURCHASE_CANCEL and operation.subject_id:
            purchases.close_unasked(session, operation.subject_id)
        stripe_requests.succeed(session, operation.id, stripe_result(session, operation, made.object))


def _declined(operation: StripeRequest, error: StripeDeclined) -> None:
    """Fail the request; its intent stays usable with another card."""
    with session_scope() as session:
        if operation.kind is RequestKind.PURCHASE and error.payment_intent:
            purchases.sync_intent(session, error.payment_intent, fresh=False)
        stripe_requests.fail(session, operation.id, code=error.code, message=error.detail, declined=True)


def _refused(operation: StripeRequest, error: StripeRefused | StripeMisconfigured) -> None:
    """Fail a request that had no effect at Stripe and never will."""
    log.error("stripe.refused", kind=operation.kind, code=error.code, reason=error.reason)
    message = error.detail
    if isinstance(error, StripeRefused) and "payment_method" in (error.param or ""):
        message = "This payment method cannot be used."
    with _still_ours(operation) as session:
        if operation.kind in OURS:
            _notify(session, operation, error)
            if isinstance(error, StripeMisconfigured):  # it succeeds once an operator corrects the key
                stripe_requests.retry_later(session, operation.id, f"{error.code}: {error.reason}")
                return
        stripe_requests.fail(session, operation.id, code=error.code, message=message)
        if operation.kind is RequestKind.PURCHASE:
            purchase = session.get_one(Purchase, operation.subject_id, with_for_update=True)
            if purchase.payment_intent_id is None and purchase.status is PurchaseStatus.PENDING:
                purchase.status = PurchaseStatus.FAILED
                purchase.failure = {"code": error.code, "declineCode": None, "message": message}


def _notify(session: Session, operation: StripeRequest, error: StripeFailed) -> None:
    """Alert an operator: no user waits for this response, and one may go on paying."""
    customer = customers.known(session, operation.user_id) or "unknown"
    kind, what = "account_not_closed", f"to end what the deleted user's customer {customer} pays for"
    if operation.kind is RequestKind.PURCHASE_CANCEL:
        kind, what = "purchase_not_canceled", f"to cancel the abandoned purchase {operation.subject_id} of {customer}"
    detail = f"Stripe refused {what}: {error.code} {error.reason}"
    key = f"refused:{operation.subject_id or operation.id}:{error.code}"
    alerts.add(session, kind=kind, subject=customer, detail=detail, key=key, user_id=operation.user_id)


def _begin_again(operation: StripeRequest, error: StripeFailed) -> bool:
    """Switch to a new key, which makes the next try look up the effect of this one first."""
    with _still_ours(operation) as session:
        stripe_requests.new_attempt(session, operation.id)
        at_once = operation.tries < AT_ONCE
        stripe_requests.retry_later(
            session, operation.id, f"{error.code}: {error.reason}", after=0 if at_once else None
        )
    return not at_once


@contextmanager
def _still_ours(operation: StripeRequest) -> Iterator[Session]:
    """Open a transaction that locks the row; raises `_Overtaken` when another worker has claimed it.

    Each claim counts a try. Without this two workers could make two new keys for one purchase.
    """
    with session_scope() as session:
        mine = (
            StripeRequest.id == operation.id,
            StripeRequest.tries == operation.tries,
            StripeRequest.status == RequestStatus.WORKING,
        )
        if session.scalar(select(StripeRequest.id).where(*mine).with_for_update()) is None:
            raise _Overtaken
        yield session
