"""Rate limits, and their absence when Redis is away."""

import os
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import time_machine
from flask import g
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import select

from api import create_app
from api.limits import rate_limits
from api.limits.rate_limits import limiter
from devstack.servers.redis_server import running_redis
from models.rules.prices.pricing import Tier
from models.tables import Purchase, User
from tests.support.api.graphs import workflow

LOGIN = {"email": "ada@example.com", "password": "wrong password"}


@pytest.fixture(autouse=True)
def restore(app, settings):
    """Tests here build applications with other stores; the limiter is one per process."""
    yield
    limiter._storage_dead = False
    limiter.init_app(app)


class TestStrangers:
    def test_may_ask_a_hundred_times_in_a_quarter_of_an_hour(self, stranger):
        statuses = [stranger.get("/auth/me").status_code for _ in range(100)]
        assert set(statuses) == {401}
        answer = stranger.get("/workflows")
        assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
        assert answer.json["message"].startswith("Too many requests")  # the app shows it
        assert 0 < int(answer.headers["Retry-After"]) <= 900
        assert answer.headers["RateLimit-Remaining"] == "0"

    def test_are_not_distinguished_by_forged_addresses(self, stranger):
        for number in range(100):
            stranger.get(
                "/auth/me", headers={"Authorization": f"Bearer {number}", "X-Forwarded-For": f"10.0.0.{number}"}
            )
        assert stranger.get("/auth/me").status_code == 429

    def test_preflights_do_not_count(self, stranger):
        for _ in range(110):
            stranger.options("/workflows")
        assert stranger.get("/auth/me").status_code == 401

    def test_behind_a_proxy_that_we_know_each_has_an_address(self, settings, stranger):
        client = create_app(replace(settings, proxy_hops=1)).test_client()
        for _ in range(101):
            client.get("/auth/me", headers={"X-Forwarded-For": "6.6.6.6, 10.0.0.1"})
        assert client.get("/auth/me", headers={"X-Forwarded-For": "6.6.6.6, 10.0.0.1"}).status_code == 429
        assert client.get("/auth/me", headers={"X-Forwarded-For": "6.6.6.6, 10.0.0.2"}).status_code == 401


class TestUsers:
    def test_have_a_limit_of_their_tier(self, sign_in, new_user):
        for tier, limit in ((Tier.FREE, 300), (Tier.PREMIUM, 1200), (Tier.ENTERPRISE, 6000)):
            answer = sign_in(new_user(f"{tier}@example.com", tier=tier)).get("/auth/me")
            assert answer.headers["RateLimit-Limit"] == str(limit)
            assert answer.headers["RateLimit-Remaining"] == str(limit - 1)
            assert 0 <= int(answer.headers["RateLimit-Reset"]) <= 60
            assert "Retry-After" not in answer.headers

    def test_are_refused_beyond_it_whatever_they_ask(self, client):
        statuses = [client.get(path).status_code for path in ("/auth/me", "/credits/balance") * 150]
        assert set(statuses) == {200}
        answer = client.get("/credits/costs")
        assert (answer.status_code, answer.json["limit"], answer.json["current"]) == (429, 300, 300)

    def test_do_not_pay_for_their_neighbours(self, client, stranger, sign_in, other):
        """Many phones share one address: other clients do not lock a user out."""
        for _ in range(120):
            stranger.get("/auth/me")
        neighbour = sign_in(other)
        assert {neighbour.get("/auth/me").status_code for _ in range(310)} == {200, 429}
        assert {client.get("/auth/me").status_code for _ in range(30)} == {200}


class TestPhones:
    def test_a_client_that_polls_all_day_behind_a_shared_address_is_allowed(self, app, new_user):
        """Our limits and keys under the library's rule, on a store whose clock we turn: Redis would take the day."""
        phone, neighbours = new_user("phone@example.com"), [new_user(f"n{n}@example.com") for n in range(200)]

        def asks(user: User | None) -> tuple[RateLimitItem, str]:
            with app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.1"}):
                if user is not None:
                    g.user = user
                return parse(rate_limits._limit_of_tier()), rate_limits._caller_key()

        stranger, ours, others = asks(None), asks(phone), [asks(user) for user in neighbours]
        refused: Counter[str] = Counter()
        with time_machine.travel(datetime(2027, 1, 1, tzinfo=UTC), tick=False) as clock:
            rule = FixedWindowRateLimiter(MemoryStorage())
            for poll in range(43_200):
                for limit, who in (ours, others[poll // 4 % 200], stranger) if poll % 4 == 0 else (ours,):
                    refused[who] += not rule.hit(limit, who)
                clock.shift(2)
        assert {who: number for who, number in refused.items() if number}.keys() == {"address:192.0.2.1"}


class TestForwardedAddresses:
    """A claimed address counts only if a known proxy sets it."""

    def statuses(self, settings, hops, claimed):
        client = create_app(replace(settings, proxy_hops=hops)).test_client()
        return [
            client.post("/auth/login", json=LOGIN, headers={"X-Forwarded-For": claim}).status_code for claim in claimed
        ]

    def test_without_a_proxy_forged_addresses_give_no_more_attempts(self, settings, stranger):
        assert self.statuses(settings, 0, [f"10.0.0.{n}" for n in range(6)]) == [401] * 5 + [429]

    def test_behind_one_proxy_what_came_before_it_does_not_count(self, settings, stranger):
        assert self.statuses(settings, 1, [f"6.6.6.{n}, 10.0.0.1" for n in range(6)]) == [401] * 5 + [429]
        assert self.statuses(settings, 1, ["6.6.6.6, 10.0.0.2"]) == [401]

    def test_behind_two_what_the_first_saw_counts(self, settings, stranger):
        assert self.statuses(settings, 2, [f"6.6.6.{n}, 10.0.0.1, 10.0.0.9" for n in range(6)]) == [401] * 5 + [429]

    def test_an_address_that_is_none_can_still_sign_in(self, settings, stranger):
        assert self.statuses(settings, 1, ["nonsense", "fe80::1%eth0"]) == [401, 401]


class TestWithoutStore:
    @pytest.fixture
    def store(self, tmp_path):
        """A Redis of this test's own."""
        with running_redis(tmp_path / "redis") as store:
            yield store
            with suppress(ProcessLookupError):
                os.kill(store.pid, signal.SIGCONT)

    @pytest.fixture
    def uncounted(self, settings, client, store):
        """The user's client of an application that counts in this store, which is there at first."""
        app = create_app(replace(settings, limiter_url=store.url()))
        uncounted = app.test_client()
        uncounted.environ_base.update(client.environ_base)
        assert uncounted.post("/auth/login", json=LOGIN).status_code == 401
        return uncounted

    def test_that_hangs_requests_are_answered_all_the_same(self, uncounted, store):
        os.kill(store.pid, signal.SIGSTOP)
        assert uncounted.get("/auth/me").status_code == 200
        assert uncounted.post("/auth/login", json=LOGIN).status_code == 503

    def test_that_comes_back_people_sign_in_again(self, uncounted, store):
        os.kill(store.pid, signal.SIGSTOP)
        assert uncounted.post("/auth/login", json=LOGIN).status_code == 503
        os.kill(store.pid, signal.SIGCONT)
        assert uncounted.post("/auth/login", json=LOGIN).status_code == 401

    def test_reading_and_running_go_on_without_sign_ins_and_payments(self, uncounted, store, session):
        os.kill(store.pid, signal.SIGKILL)
        assert {uncounted.get("/auth/me").status_code for _ in range(3)} == {200}
        made = uncounted.post("/workflows", json=workflow()).json["workflow"]["id"]
        assert uncounted.post(f"/workflows/{made}/execute", json={}).status_code == 202
        closed = {
            "/auth/login": LOGIN,
            "/auth/register": {**LOGIN, "name": "Ada"},
            "/auth/change-password": {"currentPassword": "a wrong one", "newPassword": "a new password"},
            "/auth/reset-password": {"email": "ada@example.com"},
            "/auth/reset-password/confirm": {"token": "x", "newPassword": "a new password"},
            "/credits/purchase": {"packageId": "pack_100"},
            "/subscriptions/create": {"priceId": "price_premium_monthly"},
            "/payment-methods/add": {"paymentMethodId": "pm_card_visa"},
        }
        for path, body in closed.items():
            answer = uncounted.post(path, json=body)
            assert (answer.status_code, answer.json["code"]) == (503, "temporarily_unavailable"), path
            assert int(answer.headers["Retry-After"]) > 0
        assert session.scalars(select(Purchase)).all() == []

    def test_what_cannot_be_read_does_not_switch_the_counting_off(self, stranger):
        stranger.post("/auth/login", data=b"x" * 2**20 + b"xx", content_type="application/json")
        stranger.post("/auth/login", data=b"\xff", content_type="application/json")
        assert not limiter._storage_dead
