"""An event is stored once, handled by one worker at a time, and kept with its reason when all attempts fail."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import Conflict, NotFound
from models.services import alerts, billing_events, credits, purchases, quarantine
from models.services.waiting import NotYet
from models.stripe_event import EventStatus, StripeEvent
from tests.factories import billing
from tests.models.hands import at_once


def stored(session: Session, event_id: str) -> StripeEvent:
    return session.get_one(StripeEvent, event_id, populate_existing=True)


def later(session: Session, event_id: str, seconds: float) -> None:
    """Let time pass for one event."""
    columns = ("received_at", "begun_at", "next_try_at", "rung_at")
    changes = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
    session.execute(text(f"UPDATE stripe_events SET {changes} WHERE id = :id"), {"id": event_id, "seconds": seconds})


class TestReceiving:
    def test_stores_an_event_once_as_it_was_signed(self, session: Session) -> None:
        values: dict[str, Any] = {"api_version": None, "created": billing.NOW, "livemode": True, "raw": b'{ "a":\xff }'}
        asked = {"event_id": "evt_1", "type": "refund.created", **values}
        assert billing_events.receive(session, **asked)
        assert not billing_events.receive(session, **(asked | {"raw": b"another"}))
        assert (stored(session, "evt_1").raw, stored(session, "evt_1").status) == (values["raw"], EventStatus.RECEIVED)

    def test_keeps_what_means_nothing_here_without_a_bell(self, session: Session) -> None:
        event = billing.event(session, "product.created")
        assert stored(session, event).status is EventStatus.IGNORED
        assert not billing_events.begin(session, event)
        assert billing_events.due(session, again=0) == []


class TestHandling:
    def test_ends_with_the_effect_and_never_begins_again(self, session: Session) -> None:
        event = billing.event(session)
        assert billing_events.begin(session, event)
        claimed = billing_events.claim(session, event)
        assert claimed is not None
        assert claimed.attempts == 1
        billing_events.done(session, event)
        assert not billing_events.begin(session, event)
        assert billing_events.claim(session, event) is None
        assert stored(session, event).handled_at is not None

    def test_of_nothing_of_ours_ends_too(self, session: Session) -> None:
        event = billing.event(session)
        billing_events.ignored(session, event)
        assert billing_events.claim(session, event) is None

    def test_is_not_begun_twice_while_it_lasts_but_again_when_its_worker_died(self, session: Session) -> None:
        event = billing.event(session)
        assert billing_events.begin(session, event)
        assert not billing_events.begin(session, event)
        later(session, event, 61)
        assert billing_events.due(session) == [event]
        assert billing_events.begin(session, event)

    def test_that_failed_waits_longer_each_time_and_ends_as_a_dead_letter_that_says_why(self, session: Session) -> None:
        event = billing.event(session)
        waits = []
        for _ in range(billing_events.MOST_ATTEMPTS):
            assert billing_events.begin(session, event)
            billing_events.wait(session, event, "There is no such purchase.")
            if (row := stored(session, event)).status is EventStatus.DEAD:
                break
            assert not billing_events.begin(session, event)
            assert row.next_try_at is not None
            waits.append((row.next_try_at - session.scalars(select(text("clock_timestamp()"))).one()).total_seconds())
            later(session, event, waits[-1] + 1)
        assert (len(waits), stored(session, event).status) == (billing_events.MOST_ATTEMPTS - 1, EventStatus.DEAD)
        assert [round(wait / 2) for wait in waits[:4]] == [1, 2, 4, 8]
        assert stored(session, event).error == "There is no such purchase."
        assert [(alert.kind, alert.subject) for alert in alerts.list_open(session)] == [("dead_event", event)]
        assert [row.id for row in quarantine.letters(session)] == [event]

    def test_that_kills_every_worker_ends_as_a_dead_letter_too(self, session: Session) -> None:
        event = billing.event(session)
        for _ in range(billing_events.MOST_ATTEMPTS):
            assert billing_events.begin(session, event)
            later(session, event, 61)
        assert not billing_events.begin(session, event)
        assert stored(session, event).status is EventStatus.DEAD
        assert "died" in str(stored(session, event).error)

    def test_is_not_blamed_for_an_outage(self, session: Session) -> None:
        event = billing.event(session)
        for _ in range(3 * billing_events.MOST_ATTEMPTS):
            assert billing_events.begin(session, event)
            billing_events.wait(session, event, "Stripe is away.", counts=False, after=30)
            later(session, event, 31)
        assert stored(session, event).status is EventStatus.WAITING

    def test_can_be_given_up_at_once_and_taken_up_again(self, session: Session) -> None:
        event = billing.event(session)
        with pytest.raises(Conflict):
            billing_events.retry_dead(session, event)
        billing_events.dead(session, event, "It cannot be read.")
        assert billing_events.backlog(session).dead == 1
        billing_events.retry_dead(session, event)
        assert billing_events.backlog(session).waiting == 1
        assert billing_events.begin(session, event)
        with pytest.raises(NotFound):
            billing_events.retry_dead(session, "evt_none")

    def test_that_is_over_is_not_touched_by_a_late_failure(self, session: Session) -> None:
        event = billing.event(session)
        billing_events.done(session, event)
        billing_events.wait(session, event, "Too late.")
        billing_events.dead(session, event, "Too late.")
        assert stored(session, event).status is EventStatus.DONE


class TestTheSweep:
    def test_rings_for_what_was_forgotten_or_is_due_once_in_a_while(self, session: Session) -> None:
        fresh, forgotten, waiting, due = (billing.event(session) for _ in range(4))
        for event in (waiting, due):
            billing_events.begin(session, event)
            billing_events.wait(session, event, "Not yet.", after=100)
        later(session, forgotten, 11)
        later(session, waiting, 50)
        later(session, due, 101)
        assert set(billing_events.due(session)) == {forgotten, due}
        assert billing_events.due(session) == []
        later(session, forgotten, 11)
        assert billing_events.due(session) == [forgotten]
        assert billing_events.backlog(session).waiting == 4
        assert stored(session, fresh).rung_at is None


@pytest.mark.usefixtures("committed_database")
class TestInManyHands:
    def test_an_event_is_stored_once_however_often_it_comes(self) -> None:
        def receive(_: int) -> bool:
            with session_scope() as session:
                return billing_events.receive(
                    session,
                    event_id="evt_1",
                    type="refund.created",
                    api_version=None,
                    created=billing.NOW,
                    livemode=False,
                    raw=b"{}",
                )

        assert Counter(at_once(32, receive)) == {True: 1, False: 31}

    def test_an_effect_without_a_key_of_its_own_happens_once(self) -> None:
        """The claim alone: whoever does not get it does nothing."""
        with session_scope() as session:
            event = billing.event(session)
            session.execute(text("CREATE TABLE effects (at timestamptz DEFAULT now())"))

        def handle(_: int) -> bool:
            with session_scope() as session:
                if billing_events.claim(session, event) is None:
                    return False
                session.execute(text("SELECT pg_sleep(0.05)"))
                session.execute(text("INSERT INTO effects DEFAULT VALUES"))
                billing_events.done(session, event)
                return True

        assert Counter(at_once(16, handle)) == {True: 1, False: 15}
        with session_scope() as session:
            assert session.scalar(text("SELECT count(*) FROM effects")) == 1

    def test_an_attempt_is_begun_by_one(self) -> None:
        with session_scope() as session:
            event = billing.event(session)

        def begin(_: int) -> bool:
            with session_scope() as session:
                return billing_events.begin(session, event)

        assert Counter(at_once(16, begin)) == {True: 1, False: 15}

    def test_one_payment_told_by_two_events_is_granted_once(self) -> None:
        with session_scope() as session:
            row = billing.purchase(session)
            paid = billing.intent(session, row)
            events = [billing.event(session), billing.event(session, "payment_intent.processing")]

        def handle(number: int) -> None:
            with session_scope() as session:
                if billing_events.claim(session, events[number % 2]):
                    billing_events.lock(session, paid["id"])
                    purchases.sync_intent(session, paid)
                    billing_events.done(session, events[number % 2])

        at_once(16, handle)
        with session_scope() as session:
            assert credits.balance(session, row.user_id).balance == 100
            assert billing_events.backlog(session).waiting == 0

    def test_news_about_one_object_comes_one_by_one_so_that_the_last_word_stays(self) -> None:
        """Read under the lock: nothing that was read before may be written after."""
        with session_scope() as session:
            row = billing.purchase(session)
            states = iter([billing.intent(session, row, word) for word in ["processing", "requires_action"] * 8])

        def handle(_: int) -> None:
            with session_scope() as session:
                billing_events.lock(session, "pi_1")
                seen = next(states)  # what Stripe would say now
                session.execute(text("SELECT pg_sleep(0.005)"))
                purchases.sync_intent(session, seen)

        at_once(16, handle)
        with session_scope() as session:
            assert session.get_one(type(row), row.id).status == "requires_action"

    def test_an_effect_that_fails_leaves_no_trace_and_the_event_waits(self) -> None:
        with session_scope() as session:
            row = billing.purchase(session)
            paid = billing.intent(session, row)
            event = billing.event(session)

        def handle() -> None:
            with session_scope() as session:
                billing_events.claim(session, event)
                purchases.sync_intent(session, paid)
                billing_events.done(session, event)
                raise NotYet("Something else is missing.")

        with pytest.raises(NotYet):
            handle()
        with session_scope() as session:
            billing_events.wait(session, event, "Something else is missing.", after=0)
        with session_scope() as session:
            assert credits.balance(session, row.user_id).balance == 0
            assert billing_events.begin(session, event)
