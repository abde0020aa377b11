"""A call that needs Stripe waits for its row a while, holding nothing; then it is answered, or told where to ask."""

import socket
import threading
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from api import concurrency, waiting
from models.db import SessionFactory, connect, session_scope
from tasks.queue import TaskName
from tests import factories
from tests.api import billing
from tests.api.conftest import token_of

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


class Clock:
    """Time that passes only while somebody sleeps; what happens meanwhile is up to the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps = 0
        self.meanwhile: Callable[[int], object] = lambda naps: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.naps += 1
        self.meanwhile(self.naps)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The clock of those who wait."""
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


@pytest.fixture
def client(app, committed_database, redis_url, sent) -> FlaskClient:
    """A client whose requests really commit, each on connections of its own."""
    with session_scope() as session:
        user = factories.user(session)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token_of(app, user)}"
    return client


def finish(at: int) -> Callable[[int], None]:
    """A worker that is done by the nap number `at`."""

    def meanwhile(naps: int) -> None:
        if naps == at:
            with SessionFactory() as session:
                billing.done(session, ANSWER)

    return meanwhile


class TestWaiting:
    def test_ends_with_the_answer_of_the_row(self, client, clock, sent):
        clock.meanwhile = finish(3)
        answer = client.post(ADD, json=CARD)
        assert (answer.status_code, answer.json, clock.naps) == (200, ANSWER, 3)
        assert [bell.task for bell in sent] == [TaskName.STRIPE_REQUEST]
        assert "RateLimit-Limit" in answer.headers
        assert "X-Request-ID" in answer.headers

    def test_holds_no_connection_and_no_transaction_while_it_sleeps(self, client, clock):
        pool = SessionFactory.kw["bind"].pool
        taken = []
        clock.meanwhile = lambda naps: taken.append(pool.checkedout())
        client.post(ADD, json=CARD, headers={"Prefer": "wait=1"})
        assert len(taken) >= 10
        assert set(taken) == {0}

    def test_ends_in_time_with_where_to_ask(self, client, clock):
        answer = client.post(ADD, json=CARD)
        assert answer.status_code == 202
        assert 10 <= clock.now < 11
        assert answer.json["status"] == "pending"
        assert answer.headers["Location"] == f"/api/billing/requests/{answer.json['id']}"
        assert int(answer.headers["Retry-After"]) >= 1

    @pytest.mark.parametrize(
        ("wish", "seconds"), [("wait=0", 0), ("wait=2", 2), ("wait=500", 30), ("respond-async", 0)]
    )
    def test_takes_as_long_as_the_client_prefers(self, client, clock, wish, seconds):
        assert client.post(ADD, json=CARD, headers={"Prefer": wish}).status_code == 202
        assert seconds <= clock.now < seconds + 1

    def test_ends_when_the_client_is_gone(self, client, clock):
        ours, theirs = socket.socketpair()
        clock.meanwhile = lambda naps: theirs.close() if naps == 4 else None
        with ours:
            answer = client.post(ADD, json=CARD, environ_overrides={"gunicorn.socket": ours})
        assert (answer.status_code, clock.naps) == (202, 4)

    def test_goes_on_while_a_client_sends_its_next_request_already(self, client, clock):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(b"GET / HTTP/1.1\r\n")
            clock.meanwhile = finish(4)
            answer = client.post(ADD, json=CARD, environ_overrides={"gunicorn.socket": ours})
        assert (answer.status_code, clock.naps) == (200, 4)

    def test_is_for_a_few_at_a_time(self, client, clock):
        places = 0
        while waiting.WAITERS.acquire(blocking=False):
            places += 1
        try:
            assert client.post(ADD, json=CARD).status_code == 202
            assert clock.naps == 0
        finally:
            waiting.WAITERS.release(places)
        assert client.post(ADD, json=CARD).status_code == 202
        assert clock.naps > 0

    def test_gives_its_place_back(self, client, clock):
        for _ in range(20):
            client.post(ADD, json=CARD, headers={"Prefer": "wait=0"})
        clock.meanwhile = finish(1)
        assert client.post(ADD, json=CARD).status_code == 200

    def test_ends_with_what_was_accepted_when_the_database_goes_away(self, client, clock):
        def lose(_: int) -> None:
            connect("postgresql://nobody@127.0.0.1:1/nothing")

        clock.meanwhile = lose
        answer = client.post(ADD, json=CARD)
        assert (answer.status_code, clock.naps) == (202, 1)

    def test_ends_with_what_was_accepted_when_too_much_is_going_on(self, client, clock, monkeypatch):
        places = threading.BoundedSemaphore(1)
        monkeypatch.setattr(concurrency, "WORKING", places)
        monkeypatch.setattr(concurrency, "PATIENCE_SECONDS", 0.05)
        clock.meanwhile = lambda naps: places.acquire()
        answer = client.post(ADD, json=CARD)
        assert (answer.status_code, clock.naps) == (202, 1)

    def test_does_not_begin_when_nothing_was_accepted(self, client, clock):
        assert client.post(ADD, json={"paymentMethodId": ""}).status_code == 422
        assert clock.naps == 0


class TestRepeats:
    def test_wait_for_the_same_row_and_end_alike(self, client, clock, sent):
        key = {"Idempotency-Key": "k-1"}
        accepted = client.post(ADD, json=CARD, headers={"Prefer": "wait=0", **key})
        assert accepted.status_code == 202
        clock.meanwhile = finish(2)
        answers = [client.post(ADD, json=CARD, headers=key) for _ in range(2)]
        assert [(answer.status_code, answer.json) for answer in answers] == [(200, ANSWER)] * 2
        assert {answer.headers["Idempotent-Replayed"] for answer in answers} == {"true"}
        assert (clock.naps, len(sent)) == (2, 1)

    def test_of_what_is_still_not_done_are_accepted_again(self, client, clock, sent):
        headers = {"Prefer": "wait=0", "Idempotency-Key": "k-1"}
        first, again = (client.post(ADD, json=CARD, headers=headers) for _ in range(2))
        assert (again.status_code, again.json) == (202, first.json)
        assert again.headers["Location"] == first.headers["Location"]
        assert len(sent) == 1


class TestAsking:
    @pytest.fixture
    def address(self, client) -> str:
        return client.post(ADD, json=CARD, headers={"Prefer": "wait=0"}).headers["Location"]

    def test_does_not_wait_unless_it_is_wished(self, client, clock, address):
        answer = client.get(address)
        assert (answer.status_code, answer.headers["Location"], clock.naps) == (202, address, 0)
        clock.meanwhile = finish(2)
        answer = client.get(address, headers={"Prefer": "wait=5"})
        assert (answer.status_code, answer.json) == (200, ANSWER)

    def test_is_answered_as_the_call_would_have_been(self, client, address):
        with SessionFactory() as session:
            billing.done(session, ANSWER)
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
            billing.failed(session, code, "Your card was declined.", declined=declined)
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
    assert waiting.patience(header, 7) == seconds
