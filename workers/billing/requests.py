"""Performs what users want from Stripe: claim the row, ask without a transaction, record what came of it.

A worker may die between any two of these. The next one asks under the same key and so gets the same answer; when a key
cannot be trusted any more, it first looks for what the earlier try made, and only then asks under a new key.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.db import session_scope
from models.purchase import Purchase, PurchaseStatus
from models.services import purchases, stripe_requests
from models.stripe_request import RequestKind, RequestStatus, StripeRequest
from workers.billing import customers
from workers.billing.answers import answer
from workers.billing.subjects import Follower
from workers.billing.wishes import WISHES, Made, look_up
from workers.gateways.stripe_errors import (
    StripeBroken,
    StripeDeclined,
    StripeFailed,
    StripeKeyReused,
    StripeMisconfigured,
    StripeRefused,
)

log = structlog.get_logger(__name__)

AT_ONCE = 3  # tries in a row under new keys, before the row waits for its next turn


class _Overtaken(Exception):
    """Another worker took the row, because we took too long: it is theirs now."""


def perform(follower: Follower, request_id: UUID) -> None:
    """Do what a row asks for, as far as it goes now. Safe to call at any time, any number of times at once."""
    for _ in range(AT_ONCE):
        with session_scope() as session:
            wish = stripe_requests.claim(session, request_id)
        if wish is None:
            return
        try:
            if _try(follower, wish):
                return
        except _Overtaken:
            log.warning("stripe_request_overtaken", request_id=str(wish.id))
            return


def _try(follower: Follower, wish: StripeRequest) -> bool:
    """One try; whether the row is settled, or waits for a later one, rather than may be tried again at once."""
    try:
        customer = customers.ensure(follower.gateway, wish.user_id)
        _record(follower, wish, _ask(follower, wish, customer))
    except StripeDeclined as error:
        _declined(wish, error)
    except (StripeRefused, StripeMisconfigured) as error:
        if isinstance(error, StripeRefused) and error.missing and error.param == "customer":
            customers.forget(customer)
            return _begin_again(wish, error)
        _refused(wish, error)
    except (StripeBroken, StripeKeyReused) as error:
        return _begin_again(wish, error)
    except StripeFailed as error:
        with _still_ours(wish) as session:
            stripe_requests.retry_later(session, wish.id, f"{error.code}: {error.reason}", after=error.retry_after)
    return True


def _ask(follower: Follower, wish: StripeRequest, customer: str) -> Made:
    """The effect of an earlier try, or of this one."""
    if wish.attempt > 1 or stripe_requests.must_look_up(wish):
        if found := look_up(follower.gateway, wish, customer):
            return found
        if stripe_requests.must_look_up(wish):
            with _still_ours(wish) as session:
                wish = stripe_requests.new_attempt(session, wish.id)
    return WISHES[wish.kind](follower.gateway, wish, customer)


def _record(follower: Follower, wish: StripeRequest, made: Made) -> None:
    """Follow what was made, each in a transaction of its own, and write the answer down."""
    for subject, stripe_id in made.follow:
        with session_scope() as session:
            follower.follow(session, subject, stripe_id)
    with session_scope() as session:
        if wish.kind is RequestKind.PURCHASE:
            purchases.sync_intent(session, made.found, fresh=False)
        stripe_requests.succeed(session, wish.id, answer(session, wish, made.found))


def _declined(wish: StripeRequest, error: StripeDeclined) -> None:
    """Final for this request; the intent lives on and may still be paid with another card."""
    with session_scope() as session:
        if wish.kind is RequestKind.PURCHASE and error.payment_intent:
            purchases.sync_intent(session, error.payment_intent, fresh=False)
        stripe_requests.fail(session, wish.id, code=error.code, message=error.detail, declined=True)


def _refused(wish: StripeRequest, error: StripeRefused | StripeMisconfigured) -> None:
    """Nothing happened over there, and nothing will."""
    log.error("stripe_refused", request_id=str(wish.id), kind=wish.kind, code=error.code, reason=error.reason)
    message = error.detail
    if isinstance(error, StripeRefused) and "payment_method" in (error.param or ""):
        message = "This payment method cannot be used."
    with _still_ours(wish) as session:
        stripe_requests.fail(session, wish.id, code=error.code, message=message)
        if wish.kind is RequestKind.PURCHASE:
            purchase = session.get_one(Purchase, wish.subject_id, with_for_update=True)
            if purchase.payment_intent_id is None and purchase.status is PurchaseStatus.PENDING:
                purchase.status = PurchaseStatus.FAILED
                purchase.failure = {"code": error.code, "declineCode": None, "message": message}


def _begin_again(wish: StripeRequest, error: StripeFailed) -> bool:
    """Under a new key, which makes the next try look first for what this one made."""
    with _still_ours(wish) as session:
        stripe_requests.new_attempt(session, wish.id)
        at_once = wish.tries < AT_ONCE
        stripe_requests.retry_later(session, wish.id, f"{error.code}: {error.reason}", after=0 if at_once else None)
    return not at_once


@contextmanager
def _still_ours(wish: StripeRequest) -> Iterator[Session]:
    """A transaction in which nobody else can take the row; raises `_Overtaken` when somebody did before.

    Each taking counts a try. Without this two workers could make two new keys for one purchase.
    """
    with session_scope() as session:
        mine = (
            StripeRequest.id == wish.id,
            StripeRequest.tries == wish.tries,
            StripeRequest.status == RequestStatus.WORKING,
        )
        if session.scalar(select(StripeRequest.id).where(*mine).with_for_update()) is None:
            raise _Overtaken
        yield session
