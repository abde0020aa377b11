"""A request uses one key until it has an outcome, by one worker at a time, and the first outcome stays."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import NotFound
from models.services.stripe import stripe_requests
from models.tables import RequestKind, RequestStatus, StripeRequest
from tests.support import factories
from tests.support.database.concurrency import at_once


@pytest.fixture
def stripe_request(session: Session) -> StripeRequest:
    return stripe_requests.add(
        session, factories.user(session), RequestKind.PAYMENT_METHOD_ADD, {"payment_method": "pm"}
    )


def later(session: Session, seconds: float) -> None:
    """Let time pass."""
    columns = ("created_at", "started_at", "attempt_started_at", "next_try_at", "enqueued_at")
    changes = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
    session.execute(text(f"UPDATE stripe_requests SET {changes}"), {"seconds": seconds})
    session.expire_all()


def outcome(session: Session, requested: StripeRequest) -> tuple[Any, ...]:
    row = session.get_one(StripeRequest, requested.id, populate_existing=True)
    return row.status, row.result, row.error


def test_a_request_is_its_owners_alone(session: Session, stripe_request: StripeRequest) -> None:
    assert (
        stripe_requests.get(session, session.get_one(factories.User, stripe_request.user_id), stripe_request.id)
        is stripe_request
    )
    with pytest.raises(NotFound):
        stripe_requests.get(session, factories.user(session), stripe_request.id)


class TestClaiming:
    def test_is_for_one_worker_until_it_seems_dead_and_keeps_the_key(
        self, session: Session, stripe_request: StripeRequest
    ) -> None:
        first = stripe_requests.claim(session, stripe_request.id)
        assert first is not None
        key = first.key
        assert stripe_requests.claim(session, stripe_request.id) is None
        assert stripe_requests.due(session, again=0) == []
        later(session, 61)
        assert stripe_requests.due(session) == [stripe_request.id]
        again = stripe_requests.claim(session, stripe_request.id)
        assert again is not None
        assert (again.key, again.tries, again.attempt) == (key, 2, 1)

    def test_waits_until_the_next_try_is_due(self, session: Session, stripe_request: StripeRequest) -> None:
        stripe_requests.claim(session, stripe_request.id)
        stripe_requests.retry_later(session, stripe_request.id, "Stripe is away.", after=30)
        later(session, 25)
        assert (stripe_requests.claim(session, stripe_request.id), list(stripe_requests.due(session))) == (None, [])
        later(session, 6)
        assert stripe_requests.due(session) == [stripe_request.id]
        assert stripe_requests.claim(session, stripe_request.id) is not None

    def test_never_follows_an_outcome(self, session: Session, stripe_request: StripeRequest) -> None:
        stripe_requests.succeed(session, stripe_request.id, {"id": "x"})
        later(session, 10**6)
        assert (stripe_requests.claim(session, stripe_request.id), list(stripe_requests.due(session))) == (None, [])


class TestTheOutcome:
    def test_that_came_first_stays(self, session: Session, stripe_request: StripeRequest) -> None:
        assert stripe_requests.succeed(session, stripe_request.id, {"id": "x"})
        assert not stripe_requests.fail(session, stripe_request.id, code="late", message="Too late.")
        assert not stripe_requests.succeed(session, stripe_request.id, {"id": "y"})
        stripe_requests.retry_later(session, stripe_request.id, "Too late.")
        assert outcome(session, stripe_request) == (RequestStatus.DONE, {"id": "x"}, None)

    def test_may_be_a_refusal(self, session: Session, stripe_request: StripeRequest) -> None:
        assert stripe_requests.fail(session, stripe_request.id, code="card_declined", message="No.")
        status, answer, error = outcome(session, stripe_request)
        assert (status, answer, error["code"], error["message"]) == (RequestStatus.FAILED, None, "card_declined", "No.")

    def test_is_a_failure_when_stripe_stays_away_for_good(
        self, session: Session, stripe_request: StripeRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stripe_requests, "MAX_ATTEMPTS", 12)
        for _ in range(stripe_requests.MAX_ATTEMPTS):
            assert stripe_requests.claim(session, stripe_request.id) is not None
            stripe_requests.retry_later(session, stripe_request.id, "Stripe is away.")
            later(session, stripe_requests.MAX_WAIT)
        assert outcome(session, stripe_request)[2]["code"] == "gave_up"


class TestTheKey:
    def test_is_trusted_for_less_than_a_day(self, session: Session, stripe_request: StripeRequest) -> None:
        assert not stripe_requests.must_find_existing(stripe_request)
        stripe_requests.claim(session, stripe_request.id)
        later(session, timedelta(hours=22).total_seconds())
        assert not stripe_requests.must_find_existing(stripe_request)
        later(session, timedelta(hours=2).total_seconds())
        assert stripe_requests.must_find_existing(stripe_request)

    def test_is_another_one_for_a_new_attempt(self, session: Session, stripe_request: StripeRequest) -> None:
        stripe_requests.claim(session, stripe_request.id)
        later(session, 10**5)
        row = stripe_requests.new_attempt(session, stripe_request.id)
        assert row.key == f"payment-method-add-{stripe_request.id}-a2"
        assert not stripe_requests.must_find_existing(row)


@pytest.mark.usefixtures("committed_database")
def test_one_worker_claims_a_request_however_many_try() -> None:
    with session_scope() as session:
        requested = stripe_requests.add(session, factories.user(session), RequestKind.PURCHASE, {})

    def claim(_: int) -> bool:
        with session_scope() as session:
            return stripe_requests.claim(session, requested.id) is not None

    assert Counter(at_once(16, claim)) == {True: 1, False: 15}
