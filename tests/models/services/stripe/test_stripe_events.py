"""An event is stored once, handled by one worker at a time, and kept with its reason when all attempts fail."""

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.db import session_scope
from models.errors import Conflict, NotFound, NotYet
from models.services.credits import ledger
from models.services.executions import dead_letters
from models.services.operations import alerts
from models.services.stripe import purchases, stripe_events
from models.tables import EventStatus, StripeEvent
from tests.support.database.concurrency import at_once
from tests.support.factories import billing


def stored(session: Session, event_id: str) -> StripeEvent:
    return session.get_one(StripeEvent, event_id, populate_existing=True)


def later(session: Session, event_id: str, seconds: float) -> None:
    """Let time pass for one event."""
    columns = ("received_at", "begun_at", "next_try_at", "enqueued_at")
    changes = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
    session.execute(text(f"UPDATE stripe_events SET {changes} WHERE id = :id"), {"id": event_id, "seconds": seconds})


class TestReceiving:
    def test_stores_an_event_once_as_it_was_signed(self, session: Session) -> None:
        values: dict[str, Any] = {"api_version": None, "created": billing.NOW, "livemode": True, "raw": b'{ "a":\xff }'}
        asked = {"event_id": "evt_1", "type": "refund.created", **values}
        assert stripe_events.receive(session, **asked)
        assert not stripe_events.receive(session, **(asked | {"raw": b"another"}))
        assert (stored(session, "evt_1").raw, stored(session, "evt_1").status) == (values["raw"], EventStatus.RECEIVED)

    def test_keeps_what_means_nothing_here_without_a_message(self, session: Session) -> None:
        event = billing.event(session, "product.created")
        assert stored(session, event).status is EventStatus.IGNORED
        assert not stripe_events.begin(session, event)
        assert stripe_events.due(session, again=0) == []


class TestHandling:
    def test_ends_with_the_effect_and_never_begins_again(self, session: Session) -> None:
        event = billing.event(session)
        assert stripe_events.begin(session, event)
        claimed = stripe_events.claim(session, event)
        assert claimed is not None
        assert claimed.attempts == 1
        stripe_events.done(session, event)
        assert not stripe_events.begin(session, event)
        assert stripe_events.claim(session, event) is None
        assert stored(session, event).handled_at is not None

    def test_of_nothing_of_ours_ends_too(self, session: Session) -> None:
        event = billing.event(session)
        stripe_events.ignored(session, event)
        assert stripe_events.claim(session, event) is None

    def test_is_not_begun_twice_unless_its_worker_died(self, session: Session) -> None:
        event = billing.event(session)
        assert stripe_events.begin(session, event)
        assert not stripe_events.begin(session, event)
        later(session, event, 61)
        assert stripe_events.due(session) == [event]
        assert stripe_events.begin(session, event)

    def test_a_failed_one_backs_off_and_ends_as_a_dead_letter_with_a_reason(self, session: Session) -> None:
        event = billing.event(session)
        waits = []
        for _ in range(stripe_events.MAX_ATTEMPTS):
            assert stripe_events.begin(session, event)
            stripe_events.retry_later(session, event, "There is no such purchase.")
            if (row := stored(session, event)).status is EventStatus.DEAD:
                break
            assert not stripe_events.begin(session, event)
            assert row.next_try_at is not None
            waits.append((row.next_try_at - session.scalars(select(text("clock_timestamp()"))).one()).total_seconds())
            later(session, event, waits[-1] + 1)
        assert (len(waits), stored(session, event).status) == (stripe_events.MAX_ATTEMPTS - 1, EventStatus.DEAD)
        assert [round(wait / 2) for wait in waits[:4]] == [1, 2, 4, 8]
        assert stored(session, event).error == "There is no such purchase."
        assert [(alert.kind, alert.subject) for alert in alerts.list_open(session)] == [("dead_event", event)]
        assert [row.id for row in dead_letters.dead_letters(session)] == [event]

    def test_that_kills_every_worker_ends_as_a_dead_letter_too(self, session: Session) -> None:
        event = billing.event(session)
        for _ in range(stripe_events.MAX_ATTEMPTS):
            assert stripe_events.begin(session, event)
            later(session, event, 61)
        assert not stripe_events.begin(session, event)
        assert stored(session, event).status is EventStatus.DEAD
        assert "died" in str(stored(session, event).error)

    def test_is_not_blamed_for_an_outage(self, session: Session) -> None:
        event = billing.event(session)
        for _ in range(3 * stripe_events.MAX_ATTEMPTS):
            assert stripe_events.begin(session, event)
            stripe_events.retry_later(session, event, "Stripe is away.", counts=False, after=30)
            later(session, event, 31)
        assert stored(session, event).status is EventStatus.WAITING

    def test_can_be_given_up_at_once_and_taken_up_again(self, session: Session) -> None:
        event = billing.event(session)
        with pytest.raises(Conflict):
            stripe_events.retry_dead(session, event)
        stripe_events.give_up(session, event, "It cannot be read.")
        assert stripe_events.backlog(session).dead == 1
        stripe_events.retry_dead(session, event)
        assert stripe_events.backlog(session).waiting == 1
        assert stripe_events.begin(session, event)
        with pytest.raises(NotFound):
            stripe_events.retry_dead(session, "evt_none")

    def test_that_is_over_is_not_touched_by_a_late_failure(self, session: Session) -> None:
        event = billing.event(session)
        stripe_events.done(session, event)
        stripe_events.retry_later(session, event, "Too late.")
        stripe_events.give_up(session, event, "Too late.")
        assert stored(session, event).status is EventStatus.DONE


class TestTheSweep:
    def test_enqueues_what_was_forgotten_or_is_due_once_in_a_while(self, session: Session) -> None:
        fresh, forgotten, waiting, due = (billing.event(session) for _ in range(4))
        for event in (waiting, due):
            stripe_events.begin(session, event)
            stripe_events.retry_later(session, event, "Not yet.", after=100)
        later(session, forgotten, 11)
        later(session, waiting, 50)
        later(session, due, 101)
        assert set(stripe_events.due(session)) == {forgotten, due}
        assert stripe_events.due(session) == []
        later(session, forgotten, 11)
        assert stripe_events.due(session) == [forgotten]
        assert stripe_events.backlog(session).waiting == 4
        assert stored(session, fresh).enqueued_at is None


@pytest.mark.usefixtures("committed_database")
class TestConcurrently:
    def test_an_event_is_stored_once_however_often_it_comes(self) -> None:
        def receive(_: int) -> bool:
            with session_scope() as session:
                return stripe_events.receive(
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
        """Only the claim protects it: a worker without the claim does nothing."""
        with session_scope() as session:
            event = billing.event(session)
            session.execute(text("CREATE TABLE effects (at timestamptz DEFAULT now())"))

        def handle(_: int) -> bool:
            with session_scope() as session:
                if stripe_events.claim(session, event) is None:
                    return False
                session.execute(text("SELECT pg_sleep(0.05)"))
                session.execute(text("INSERT INTO effects DEFAULT VALUES"))
                stripe_events.done(session, event)
                return True

        assert Counter(at_once(16, handle)) == {True: 1, False: 15}
        with session_scope() as session:
            assert session.scalar(text("SELECT count(*) FROM effects")) == 1

    def test_an_attempt_is_begun_by_one(self) -> None:
        with session_scope() as session:
            event = billing.event(session)

        def begin(_: int) -> bool:
            with session_scope() as session:
                return stripe_events.begin(session, event) is not None

        assert Counter(at_once(16, begin)) == {True: 1, False: 15}

    def test_one_payment_with_two_events_is_granted_once(self) -> None:
        with session_scope() as session:
            row = billing.purchase(session)
            paid = billing.intent(session, row)
            events = [billing.event(session), billing.event(session, "payment_intent.processing")]

        def handle(number: int) -> None:
            with session_scope() as session:
                if stripe_events.claim(session, events[number % 2]):
                    stripe_events.lock(session, paid["id"])
                    purchases.sync_intent(session, paid)
                    stripe_events.done(session, events[number % 2])

        at_once(16, handle)
        with session_scope() as session:
            assert ledger.balance(session, row.user_id).balance == 100
            assert stripe_events.backlog(session).waiting == 0

    def test_events_about_one_object_are_handled_one_at_a_time(self) -> None:
        """Read under the lock: nothing that was read before may be written after."""
        with session_scope() as session:
            row = billing.purchase(session)
            states = iter([billing.intent(session, row, word) for word in ["processing", "requires_action"] * 8])

        def handle(_: int) -> None:
            with session_scope() as session:
                stripe_events.lock(session, "pi_1")
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
                stripe_events.claim(session, event)
                purchases.sync_intent(session, paid)
                stripe_events.done(session, event)
                raise NotYet("Something else is missing.")

        with pytest.raises(NotYet):
            handle()
        with session_scope() as session:
            stripe_events.retry_later(session, event, "Something else is missing.", after=0)
        with session_scope() as session:
            assert ledger.balance(session, row.user_id).balance == 0
            assert stripe_events.begin(session, event)
