"""How often one may try to sign up, to sign in and to get a new password, from where and at which account."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from models.services.operations import audit
from models.tables import User

ADA = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}
RIGHT = {"email": "ada@example.com", "password": "correct horse"}
WRONG = {**RIGHT, "password": "wrong password"}
HERE = "192.0.2.1"
SPELLINGS = [
    "192.0.2.1",
    "::ffff:192.0.2.1",
    "::FFFF:c000:201",
    "0:0:0:0:0:ffff:c000:0201",
    "[::ffff:192.0.2.1]:443",
    "192.0.2.1:51234",
]
ONE_NETWORK = [f"2001:db8:0:1:{n}::{n}" for n in range(1, 13)]


@pytest.fixture
def post(stranger):
    """Sends a body from an address; answers the status."""

    def send(path: str, body: dict[str, str], address: str = HERE, **headers: str) -> int:
        return stranger.post(path, json=body, headers=headers, environ_base={"REMOTE_ADDR": address}).status_code

    return send


@pytest.fixture
def account(post):
    """Ada's account, created from a unique address."""
    assert post("/auth/register", ADA, "198.51.100.1") == 201


class TestOneAddress:
    def test_signs_up_five_accounts_whatever_it_calls_them(self, post, session):
        statuses = [post("/auth/register", {**ADA, "email": f"a{n}@example.com"}) for n in range(25)]
        assert statuses == [201] * 5 + [429] * 20
        assert session.scalar(select(func.count()).select_from(User)) == 5

    def test_signs_up_no_more_with_tokens_of_those(self, stranger, post):
        for n in range(5):
            answer = stranger.post("/auth/register", json={**ADA, "email": f"a{n}@example.com"})
            bearer = f"Bearer {answer.json['token']}"
        again = stranger.post(
            "/auth/register", json={**ADA, "email": "b@example.com"}, headers={"Authorization": bearer}
        )
        assert (again.status_code, again.json["code"]) == (429, "rate_limited")
        assert again.json["message"] == "Too many attempts; try again in 15 minutes."
        assert 840 < int(again.headers["Retry-After"]) <= 900
        assert (again.json["limit"], again.headers["RateLimit-Limit"]) == (5, "5")

    def test_guesses_five_times_whatever_the_account(self, post):
        statuses = [post("/auth/login", {**WRONG, "email": f"a{n}@example.com"}) for n in range(8)]
        assert statuses == [401] * 5 + [429] * 3

    def test_guesses_no_more_when_all_guesses_come_at_once(self, app, committed_database, redis_url):
        def guess(number: int) -> int:
            return app.test_client().post("/auth/login", json={**WRONG, "email": f"a{number}@example.com"}).status_code

        with ThreadPoolExecutor(20) as pool:
            statuses = Counter(pool.map(guess, range(20)))
        assert statuses == {401: 5, 429: 15}

    def test_asks_for_five_links(self, post):
        statuses = [post("/auth/reset-password", {"email": f"a{n}@example.com"}) for n in range(7)]
        assert statuses == [202] * 5 + [429] * 2

    def test_tries_five_links(self, post):
        body = {"newPassword": "a much longer passphrase"}
        statuses = [post("/auth/reset-password/confirm", {**body, "token": f"t{n}"}) for n in range(7)]
        assert statuses == [422] * 5 + [429] * 2

    def test_signs_in_as_often_as_it_likes(self, post, account):
        assert {post("/auth/login", RIGHT) for _ in range(10)} == {200}

    def test_signs_in_many_at_once(self, app, committed_database, redis_url):
        assert app.test_client().post("/auth/register", json=ADA).status_code == 201

        def sign_in(_: int) -> int:
            return app.test_client().post("/auth/login", json=RIGHT).status_code

        with ThreadPoolExecutor(12) as pool:
            assert set(pool.map(sign_in, range(12))) == {200}

    def test_does_not_use_up_its_attempts_with_fields_that_are_wrong(self, post):
        assert {post("/auth/register", {**ADA, "password": "short"}) for _ in range(8)} == {422}
        assert post("/auth/register", ADA) == 201

    @pytest.mark.parametrize("addresses", [SPELLINGS, ONE_NETWORK[:6]], ids=["spellings", "network"])
    def test_is_one_however_it_is_written_and_with_all_of_its_network(self, post, addresses):
        statuses = [post("/auth/login", WRONG, address) for address in addresses]
        assert statuses == [401] * 5 + [429]

    def test_registers_no_more_from_the_rest_of_its_network(self, post):
        statuses = [
            post("/auth/register", {**ADA, "email": f"a{n}@example.com"}, address)
            for n, address in enumerate(ONE_NETWORK)
        ]
        assert statuses == [201] * 5 + [429] * 7

    def test_does_not_use_up_what_another_network_has(self, post):
        for address in ONE_NETWORK:
            post("/auth/login", WRONG, address)
        assert post("/auth/login", {**WRONG, "email": "b@example.com"}, "2001:db8:0:2::1") == 401

    def test_is_asked_for_as_one_without_a_token(self, stranger):
        for n in range(100):
            stranger.get("/auth/me", environ_base={"REMOTE_ADDR": SPELLINGS[n % 6]})
        assert stranger.get("/auth/me", environ_base={"REMOTE_ADDR": HERE}).status_code == 429


class TestOneAccount:
    def test_allows_ten_guesses_from_any_addresses_while_its_owner_signs_in(self, post, account):
        guesses, owner = Counter(), Counter()
        for n in range(200):
            guesses[post("/auth/login", WRONG, f"203.0.113.{n}")] += 1
            if n % 10 == 0:
                owner[post("/auth/login", RIGHT, "198.51.100.1")] += 1
        assert guesses == {401: 10, 429: 190}
        assert owner == {200: 20}

    def test_does_not_let_a_right_guess_in_that_comes_from_anywhere(self, post, account):
        for n in range(10):
            post("/auth/login", WRONG, f"203.0.113.{n}")
        assert post("/auth/login", RIGHT, "203.0.113.99") == 429

    def test_lets_its_owner_in_from_where_the_password_was_reset(self, post, account, session, stranger):
        for n in range(10):
            post("/auth/login", WRONG, f"203.0.113.{n}")
        assert post("/auth/login", RIGHT, "198.51.100.77") == 429
        audit_of_reset(session, "198.51.100.77")
        assert post("/auth/login", RIGHT, "198.51.100.77") == 200

    def test_that_is_none_is_braked_too(self, post):
        statuses = [post("/auth/login", {**WRONG, "email": "no@example.com"}, f"203.0.113.{n}") for n in range(12)]
        assert statuses == [401] * 10 + [429] * 2

    def test_is_one_whatever_the_case_of_its_address(self, post, account):
        emails = [" ada@example.com", "ADA@example.com", "Ada@Example.com "] * 4
        statuses = [post("/auth/login", {**WRONG, "email": email}, f"203.0.113.{n}") for n, email in enumerate(emails)]
        assert statuses == [401] * 10 + [429] * 2


def audit_of_reset(session, address: str) -> None:
    """The audit entry after the owner followed the link from that address."""
    user = session.scalars(select(User)).one()
    audit.record(session, actor=user.id, action="auth.password_reset", subject=user.id, address=address)
    session.commit()
