"""A wish is asked under one key until there is an outcome, by one worker at a time, and the first outcome stays."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import NotFound
from models.services import stripe_requests
from models.stripe_request import RequestKind, RequestStatus, StripeRequest
from tests import factories
from tests.models.hands import at_once


@pytest.fixture
def wish(session: Session) -> StripeRequest:
    return stripe_requests.add(
        session, factories.user(session), RequestKind.PAYMENT_METHOD_ADD, {"payment_method": "pm"}
    )


def later(session: Session, seconds: float) -> None:
    """Let time pass."""
    columns = ("created_at", "started_at", "attempt_started_at", "next_try_at", "rung_at")
    changes = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
    session.execute(text(f"UPDATE stripe_requests SET {changes}"), {"seconds": seconds})
    session.expire_all()


def outcome(session: Session, wish: StripeRequest) -> tuple[Any, ...]:
    row = session.get_one(StripeRequest, wish.id, populate_existing=True)
    return row.status, row.answer, row.error


def test_a_wish_is_its_owners_alone(session: Session, wish: StripeRequest) -> None:
    assert stripe_requests.get(session, session.get_one(factories.User, wish.user_id), wish.id) is wish
    with pytest.raises(NotFound):
        stripe_requests.get(session, factories.user(session), wish.id)


class TestClaiming:
    def test_is_for_one_worker_until_it_seems_dead_and_keeps_the_key(
        self, session: Session, wish: StripeRequest
    ) -> None:
        first = stripe_requests.claim(session, wish.id)
        assert first is not None
        key = first.key
        assert stripe_requests.claim(session, wish.id) is None
        assert stripe_requests.due(session, again=0) == []
        later(session, 61)
        assert stripe_requests.due(session) == [wish.id]
        again = stripe_requests.claim(session, wish.id)
        assert again is not None
        assert (again.key, again.tries, again.attempt) == (key, 2, 1)

    def test_waits_until_the_next_try_is_due(self, session: Session, wish: StripeRequest) -> None:
        stripe_requests.claim(session, wish.id)
        stripe_requests.retry_later(session, wish.id, "Stripe is away.", after=30)
        later(session, 25)
        assert (stripe_requests.claim(session, wish.id), list(stripe_requests.due(session))) == (None, [])
        later(session, 6)
        assert stripe_requests.due(session) == [wish.id]
        assert stripe_requests.claim(session, wish.id) is not None

    def test_never_follows_an_outcome(self, session: Session, wish: StripeRequest) -> None:
        stripe_requests.succeed(session, wish.id, {"id": "x"})
        later(session, 10**6)
        assert (stripe_requests.claim(session, wish.id), list(stripe_requests.due(session))) == (None, [])


class TestTheOutcome:
    def test_that_came_first_stays(self, session: Session, wish: StripeRequest) -> None:
        assert stripe_requests.succeed(session, wish.id, {"id": "x"})
        assert not stripe_requests.fail(session, wish.id, code="late", message="Too late.")
        assert not stripe_requests.succeed(session, wish.id, {"id": "y"})
        stripe_requests.retry_later(session, wish.id, "Too late.")
        assert outcome(session, wish) == (RequestStatus.DONE, {"id": "x"}, None)

    def test_may_be_a_refusal(self, session: Session, wish: StripeRequest) -> None:
        assert stripe_requests.fail(session, wish.id, code="card_declined", message="No.")
        status, answer, error = outcome(session, wish)
        assert (status, answer, error["code"], error["message"]) == (RequestStatus.FAILED, None, "card_declined", "No.")

    def test_is_a_failure_when_stripe_stays_away_for_good(
        self, session: Session, wish: StripeRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stripe_requests, "MOST_TRIES", 12)
        for _ in range(stripe_requests.MOST_TRIES):
            assert stripe_requests.claim(session, wish.id) is not None
            stripe_requests.retry_later(session, wish.id, "Stripe is away.")
            later(session, stripe_requests.LONGEST_WAIT)
        assert outcome(session, wish)[2]["code"] == "gave_up"


class TestTheKey:
    def test_is_trusted_for_less_than_a_day(self, session: Session, wish: StripeRequest) -> None:
        assert not stripe_requests.must_look_up(wish)
        stripe_requests.claim(session, wish.id)
        later(session, timedelta(hours=22).total_seconds())
        assert not stripe_requests.must_look_up(wish)
        later(session, timedelta(hours=2).total_seconds())
        assert stripe_requests.must_look_up(wish)

    def test_is_another_one_for_a_new_attempt(self, session: Session, wish: StripeRequest) -> None:
        stripe_requests.claim(session, wish.id)
        later(session, 10**5)
        row = stripe_requests.new_attempt(session, wish.id)
        assert row.key == f"payment-method-add-{wish.id}-a2"
        assert not stripe_requests.must_look_up(row)


@pytest.mark.usefixtures("committed_database")
def test_one_worker_claims_a_wish_however_many_try() -> None:
    with session_scope() as session:
        wish = stripe_requests.add(session, factories.user(session), RequestKind.PURCHASE, {})

    def claim(_: int) -> bool:
        with session_scope() as session:
            return stripe_requests.claim(session, wish.id) is not None

    assert Counter(at_once(16, claim)) == {True: 1, False: 15}
