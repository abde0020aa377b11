"""A call that needs Stripe waits for its row without holding resources; then it returns or names an address to poll."""

import time
from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from api.jobs import prefer_wait
from api.limits import concurrency
from api.live import change_notifier
from api.live.change_notifier import ChangeNotifier
from models.db import SessionFactory, connect, session_scope
from models.fair_slots import FairSemaphore
from models.services.accounts import sessions
from models.tables import StripeRequest, User
from tasks.change_publisher import RedisChangePublisher
from tasks.queue import TaskName
from tests.api.conftest import token_of
from tests.api.live import Asking, until
from tests.support import factories
from tests.support.api import stripe_outcomes
from tests.support.database.statements import recorded_statements

ADD = "/api/payment-methods/add"
CARD = {"paymentMethodId": "pm_card_visa"}
ANSWER = {
    "id": "5f0c8a52-71f3-4c7d-8a9e-0b1c2d3e4f50",
    "type": "card",
    "brand": "visa",
    "last4": "4242",
    "expMonth": 12,
    "expYear": 2030,
    "isDefault": True,
    "createdAt": "2026-11-02T09:30:00Z",
}


@pytest.fixture
def client(app, committed_database, redis_url, sent) -> FlaskClient:
    """A client whose requests really commit, each on connections of its own."""
    with session_scope() as session:
        user = factories.user(session)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token_of(app, user)}"
    return client


@pytest.fixture
def call(client, place) -> Callable[..., Asking]:
    """Makes a call in a thread of its own, and returns once it waits."""

    def make(prefer: str = "wait=30", **options) -> Asking:
        return Asking(client, place, ADD, method="POST", json=CARD, headers={"Prefer": prefer}, **options)

    return make


@pytest.fixture
def hint(redis_url) -> Callable[[], None]:
    """Tells that the newest row may have changed, whether it did or not."""
    publish = RedisChangePublisher(redis_url)
    ids: list[UUID] = []

    def tell() -> None:
        if not ids:
            with session_scope() as session:
                ids.append(session.scalars(select(StripeRequest.id)).one())
        publish(ids)

    return tell


def finish() -> None:
    """A worker is done."""
    with SessionFactory() as session:
        stripe_outcomes.done(session, ANSWER)


class TestWaiting:
    def test_ends_at_once_with_the_answer_of_the_row(self, call, place, told, sent):
        waiting = call()
        finish()
        answer = waiting.answer()
        assert (answer.status_code, answer.json, len(place)) == (200, ANSWER, 0)
        assert [message.task for message in sent] == [TaskName.STRIPE_REQUEST]
        assert "RateLimit-Limit" in answer.headers
        assert "X-Request-ID" in answer.headers

    def test_reads_the_row_only_when_it_may_have_changed(self, call, told):
        def reads() -> int:
            return sum(sql.startswith("SELECT") and "stripe_requests.result" in sql for sql, _ in statements)

        with recorded_statements() as statements:
            waiting = call()
            time.sleep(0.3)
            before = reads()
            time.sleep(0.7)
            assert reads() == before <= 2
            finish()
            assert waiting.answer().status_code == 200
            assert reads() <= before + 2  # the test's own among them

    def test_ends_although_no_message_announced_the_change(self, call, monkeypatch):
        monkeypatch.setattr(change_notifier, "DISCONNECTED_POLL_SECONDS", 0.05)
        monkeypatch.setattr(change_notifier, "POLL_SECONDS", 0.05)
        waiting = call()
        finish()
        assert waiting.answer().status_code == 200

    def test_ends_with_the_session_it_came_with(self, call, monkeypatch):
        monkeypatch.setattr(change_notifier, "CREDENTIALS_SECONDS", 0.05)
        waiting = call()
        with session_scope() as session:
            sessions.end_others(session, session.scalars(select(User.id)).one())
        answer = waiting.answer()
        assert (answer.status_code, answer.json["code"]) == (401, "not_authenticated")

    def test_holds_neither_a_connection_nor_a_working_slot(self, call, told):
        pool = SessionFactory.kw["bind"].pool
        free = concurrency.WORKING_SLOTS.free
        waiting = call()
        until(lambda: pool.checkedout() == 0 and concurrency.WORKING_SLOTS.free == free)
        assert waiting.is_waiting
        finish()
        assert waiting.answer().status_code == 200

    def test_ends_in_time_with_where_to_ask(self, client, place):
        started = time.monotonic()
        answer = client.post(ADD, json=CARD, headers={"Prefer": "wait=1"})
        assert time.monotonic() - started >= 1
        assert (answer.status_code, answer.json["status"]) == (202, "pending")
        assert answer.headers["Location"] == f"/api/billing/requests/{answer.json['id']}"
        assert int(answer.headers["Retry-After"]) >= 1

    @pytest.mark.parametrize(("prefer", "seconds"), [("", 10), ("wait=2", 2), ("wait=500", 30)])
    def test_takes_as_long_as_the_client_prefers(self, call, hint, monkeypatch, prefer, seconds):
        class Clock:
            now = 0.0
            monotonic = staticmethod(lambda: Clock.now)

        monkeypatch.setattr(prefer_wait, "time", Clock)
        waiting = call(prefer)
        Clock.now = seconds - 0.1
        hint()
        time.sleep(0.2)
        assert waiting.is_waiting
        Clock.now = seconds + 0.1
        hint()
        assert waiting.answer().status_code == 202

    @pytest.mark.parametrize("prefer", ["wait=0", "respond-async"])
    def test_is_left_out_for_who_does_not_want_it(self, client, place, prefer):
        place.close()  # nobody could wait
        answer = client.post(ADD, json=CARD, headers={"Prefer": prefer})
        assert answer.status_code == 202

    def test_does_not_begin_when_too_many_wait_already(self, app, client, redis_url, monkeypatch):
        monkeypatch.setitem(app.extensions, "change_notifier", ChangeNotifier(redis_url, max_subscriptions=0))
        assert client.post(ADD, json=CARD, headers={"Prefer": "wait=30"}).status_code == 202

    def test_ends_when_the_process_shuts_down(self, call, place):
        waiting = call()
        place.close()
        assert waiting.answer().status_code == 202

    def test_ends_with_what_was_accepted_when_the_database_goes_away(self, call, hint):
        waiting = call()
        hint()
        connect("postgresql://nobody@127.0.0.1:1/nothing")
        hint()
        assert waiting.answer().status_code == 202

    def test_ends_with_what_was_accepted_when_too_much_is_going_on(self, call, told, monkeypatch):
        places = FairSemaphore(1, per_group=1, waiting=8)
        monkeypatch.setattr(concurrency, "WORKING_SLOTS", places)
        monkeypatch.setattr(concurrency, "ACQUIRE_TIMEOUT_SECONDS", 0.2)
        waiting = call()
        places.acquire("another user", timeout=20)
        finish()
        assert waiting.answer().status_code == 202

    def test_does_not_begin_when_nothing_was_accepted(self, client, place):
        assert client.post(ADD, json={"paymentMethodId": ""}).status_code == 422


class TestRepeats:
    def test_wait_for_the_same_row_and_end_alike(self, client, place, told, sent):
        key = {"Idempotency-Key": "k-1"}
        accepted = client.post(ADD, json=CARD, headers={"Prefer": "wait=0", **key})
        assert accepted.status_code == 202
        waiting = Asking(client, place, ADD, method="POST", json=CARD, headers=key)
        finish()
        answers = [waiting.answer(), client.post(ADD, json=CARD, headers=key)]
        assert [(answer.status_code, answer.json) for answer in answers] == [(200, ANSWER)] * 2
        assert {answer.headers["Idempotent-Replayed"] for answer in answers} == {"true"}
        assert len(sent) == 1

    def test_of_what_is_still_not_done_are_accepted_again(self, client, sent):
        headers = {"Prefer": "wait=0", "Idempotency-Key": "k-1"}
        first, again = (client.post(ADD, json=CARD, headers=headers) for _ in range(2))
        assert (again.status_code, again.json) == (202, first.json)
        assert again.headers["Location"] == first.headers["Location"]
        assert len(sent) == 1


class TestAsking:
    @pytest.fixture
    def address(self, client) -> str:
        return client.post(ADD, json=CARD, headers={"Prefer": "wait=0"}).headers["Location"]

    def test_does_not_wait_unless_it_is_asked_to(self, client, place, told, address):
        answer = client.get(address)
        assert (answer.status_code, answer.headers["Location"]) == (202, address)
        waiting = Asking(client, place, address, headers={"Prefer": "wait=30"})
        finish()
        answer = waiting.answer()
        assert (answer.status_code, answer.json) == (200, ANSWER)

    def test_is_answered_as_the_call_would_have_been(self, client, address):
        with SessionFactory() as session:
            stripe_outcomes.done(session, ANSWER)
        assert client.get(address).json == ANSWER

    @pytest.mark.parametrize(
        ("code", "declined", "status"),
        [
            ("card_declined", True, 402),
            ("expired_card", True, 402),
            ("a_reason_of_tomorrow", True, 402),
            ("resource_missing", False, 422),
            ("stripe_refused", False, 409),
            ("payments_unavailable", False, 503),
            ("gave_up", False, 503),
        ],
    )
    def test_says_what_went_wrong(self, client, address, code, declined, status):
        with SessionFactory() as session:
            stripe_outcomes.failed(session, code, "Your card was declined.", declined=declined)
        answer = client.get(address)
        assert (answer.status_code, answer.json["code"]) == (status, code)
        assert answer.mimetype == "application/problem+json"
        assert answer.json["message"] == answer.json["detail"] == "Your card was declined."


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 7),
        ("", 7),
        ("wait=0", 0),
        ("wait=12", 12),
        ("Wait=12", 12),
        ('wait="12"', 12),
        ("wait = 12", 12),
        ("respond-async, wait=12", 12),
        ("wait=12; foo", 12),
        ("return=minimal, wait=12", 12),
        ("wait=31", 30),
        ("wait=999999", 30),
        ("respond-async", 0),
        ("wait=-1", 7),
        ("wait=ten", 7),
        ("wait=1e9", 7),
        ("wait=9999999", 7),
        ("await=3", 7),
        ("return=minimal", 7),
    ],
)
def test_how_long_a_preference_means(header: str | None, seconds: int) -> None:
    assert prefer_wait.preferred_wait(header, 7) == seconds
