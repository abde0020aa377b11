"""Signing up, in and out, and which tokens count."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest

from api import create_app
from api.auth.tokens import AUDIENCE, ISSUER
from models.services.accounts import sessions

ADA = {"email": "Ada@example.com", "password": "correct horse", "name": "Ada"}


def register(stranger, **changes):
    return stranger.post("/api/auth/register", json={**ADA, **changes})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class TestRegister:
    def test_answers_the_user_and_a_token_that_works(self, stranger):
        answer = register(stranger)
        assert answer.status_code == 201
        assert set(answer.json) == {"user", "token"}
        assert set(answer.json["user"]) == {
            *("id", "email", "emailVerified", "pendingEmail", "name", "subscriptionTier", "role", "createdAt")
        }
        assert answer.json["user"]["subscriptionTier"] == "free"
        me = stranger.get("/api/auth/me", headers=bearer(answer.json["token"]))
        assert me.json == {"user": answer.json["user"]}

    def test_gives_no_credits_before_the_address_is_verified(self, stranger):
        answer = register(stranger).json
        assert stranger.get("/credits/balance", headers=bearer(answer["token"])).json["balance"] == 0
        assert answer["user"]["emailVerified"] is False

    def test_refuses_an_address_that_is_taken_whatever_its_case(self, stranger):
        register(stranger)
        answer = register(stranger, email="aDA@EXAMPLE.com")
        assert (answer.status_code, answer.json["code"]) == (409, "email_taken")

    def test_stores_an_international_domain_encoded_and_finds_both_spellings(self, stranger):
        assert register(stranger, email="ada@münchen.example").json["user"]["email"] == "ada@xn--mnchen-3ya.example"
        assert register(stranger, email="ADA@xn--mnchen-3ya.example").json["code"] == "email_taken"
        login = {"email": "ada@MÜNCHEN.example", "password": ADA["password"]}
        assert stranger.post("/auth/login", json=login).status_code == 200

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("email", "ada"),
            ("email", "a" * 250 + "@example.com"),
            ("email", 7),
            ("email", "ädä@example.com"),
            ("email", "a" * 65 + "@example.com"),
            ("email", "ada@exa mple.com"),
            ("password", "seven77"),
            ("password", "x" * 1025),
            ("password", None),
            ("name", "   "),
            ("name", "x" * 201),
        ],
    )
    def test_names_the_field_that_is_wrong(self, stranger, field, value):
        answer = register(stranger, **{field: value})
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_input")
        assert [item["field"] for item in answer.json["errors"]] == [field]

    def test_takes_passwords_longer_than_bcrypt_does(self, stranger):
        long = "correct horse battery " * 10
        register(stranger, password=long)
        almost = stranger.post("/auth/login", json={"email": ADA["email"], "password": long[:-1] + "x"})
        right = stranger.post("/auth/login", json={"email": ADA["email"], "password": long})
        assert (almost.status_code, right.status_code) == (401, 200)


class TestLogin:
    def test_answers_as_registering_does(self, stranger):
        first = register(stranger).json
        answer = stranger.post("/auth/login", json={"email": "ada@EXAMPLE.com", "password": ADA["password"]})
        assert answer.status_code == 200
        assert answer.json["user"] == first["user"]
        assert stranger.get("/auth/me", headers=bearer(answer.json["token"])).status_code == 200

    def test_says_the_same_of_an_unknown_account_and_a_wrong_password(self, stranger):
        register(stranger)
        wrong = stranger.post("/auth/login", json={"email": ADA["email"], "password": "incorrect horse"})
        unknown = stranger.post("/auth/login", json={"email": "bob@example.com", "password": "incorrect horse"})
        assert wrong.status_code == unknown.status_code == 401
        same = ("type", "title", "detail", "code")
        assert [wrong.json[name] for name in same] == [unknown.json[name] for name in same]

    def test_a_stale_token_does_not_prevent_signing_in(self, stranger):
        register(stranger)
        login = {"email": ADA["email"], "password": ADA["password"]}
        assert stranger.post("/auth/login", json=login, headers=bearer("stale")).status_code == 200


def forged(settings, *, without="", key="", algorithm="HS256", kid="default", **claims) -> str:
    """A token like ours but for what is said."""
    now = datetime.now(UTC)
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "nbf": now,
        "exp": now + timedelta(hours=1),
        "jti": str(uuid4()),
        "type": "access",
        "sid": str(uuid4()),
        "gen": 0,
        **claims,
    }
    good.pop(without, None)
    secret = None if algorithm == "none" else key or settings.jwt_keys["default"]
    return jwt.encode(good, secret, algorithm=algorithm, headers={"kid": kid} if kid else {})


@pytest.fixture
def claims(session, user):
    """Who a token of a session of this user's is about."""
    started = sessions.start(session, user, user_agent=None, address=None)
    session.commit()
    return {"sub": str(user.id), "sid": str(started.id)}


class TestForgery:
    def test_a_token_with_every_claim_is_accepted(self, stranger, settings, claims):
        assert stranger.get("/auth/me", headers=bearer(forged(settings, **claims))).status_code == 200

    @pytest.mark.parametrize("claim", ["iss", "aud", "iat", "nbf", "exp", "jti", "type", "sub", "sid", "gen"])
    def test_a_token_that_lacks_a_claim_is_refused(self, stranger, settings, claims, claim):
        token = forged(settings, **claims, without=claim)
        assert stranger.get("/auth/me", headers=bearer(token)).status_code == 401

    @pytest.mark.parametrize(
        "change",
        [
            {"iss": "somebody"},
            {"aud": "something"},
            {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
            {"type": "refresh"},
            {"jti": 7},
            {"sub": "not-a-uuid"},
            {"sub": "08cfbdfb-7406-49cf-8ec0-83b4f01477e6"},
            {"sid": "not-a-uuid"},
            {"sid": "08cfbdfb-7406-49cf-8ec0-83b4f01477e6"},
            {"sid": 7},
            {"gen": 1},
            {"gen": "0"},
            {"gen": False},
            {"gen": -1},
            {"algorithm": "HS512"},
            {"algorithm": "none"},
            {"key": "another-secret-of-32-bytes-or-more-than-that"},
            {"kid": None},
            {"kid": "unknown"},
        ],
        ids=str,
    )
    def test_a_token_with_something_wrong_is_refused(self, stranger, settings, claims, change):
        answer = stranger.get("/auth/me", headers=bearer(forged(settings, **{**claims, **change})))
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.content_type == "application/problem+json"

    def test_a_token_says_its_session_is_of_its_user(self, stranger, settings, claims, other):
        token = forged(settings, **{**claims, "sub": str(other.id)})
        assert stranger.get("/auth/me", headers=bearer(token)).status_code == 401

    def test_an_expired_token_is_called_so(self, stranger, settings, claims):
        token = forged(settings, **claims, exp=datetime(2020, 1, 1, tzinfo=UTC))
        assert stranger.get("/auth/me", headers=bearer(token)).json["code"] == "token_expired"

    @pytest.mark.parametrize(("seconds", "status"), [(25, 200), (60, 401)])
    def test_the_clock_of_the_host_that_signed_a_token_may_be_a_little_ahead(
        self, stranger, settings, claims, seconds, status
    ):
        there = datetime.now(UTC) + timedelta(seconds=seconds)
        token = forged(settings, **claims, iat=there, nbf=there)
        assert stranger.get("/auth/me", headers=bearer(token)).status_code == status

    def test_a_token_does_not_live_longer_for_that(self, stranger, settings, claims):
        token = forged(settings, **claims, exp=datetime.now(UTC) - timedelta(seconds=2))
        answer = stranger.get("/auth/me", headers=bearer(token))
        assert (answer.status_code, answer.json["code"]) == (401, "token_expired")

    @pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer a b", "Basic abc", "bearer\x7f", "Bearer ...", ""])
    def test_a_header_that_is_none_is_refused(self, stranger, header):
        assert stranger.get("/auth/me", headers={"Authorization": header}).status_code == 401

    def test_tokens_elsewhere_do_not_count(self, stranger, settings, claims):
        token = forged(settings, **claims)
        stranger.set_cookie("access_token_cookie", token)
        assert stranger.get(f"/auth/me?jwt={token}&token={token}").status_code == 401


class TestRotation:
    """Of the keys that sign tokens."""

    @pytest.fixture
    def instance(self, settings):
        """Makes an instance with these keys."""
        return lambda **keys: create_app(replace(settings, jwt_keys=keys)).test_client()

    def test_keeps_sessions_until_the_old_key_is_removed(self, stranger, instance):
        old, new = "old secret of thirty-two bytes or more", "new secret of thirty-two bytes or more"
        token = register(instance(a=old)).json["token"]
        both = instance(b=new, a=old)
        assert both.get("/auth/me", headers=bearer(token)).status_code == 200
        fresh = both.post("/auth/refresh", headers=bearer(token)).json["token"]
        assert (jwt.get_unverified_header(token)["kid"], jwt.get_unverified_header(fresh)["kid"]) == ("a", "b")
        after = instance(b=new)
        assert after.get("/auth/me", headers=bearer(token)).status_code == 401
        assert after.get("/auth/me", headers=bearer(fresh)).status_code == 200

    def test_a_key_does_not_count_under_anothers_name(self, stranger, instance, settings, claims):
        new = "new secret of thirty-two bytes or more"
        client = instance(b=new, a="old secret of thirty-two bytes or more")
        assert client.get("/auth/me", headers=bearer(forged(settings, **claims, key=new, kid="b"))).status_code == 200
        assert client.get("/auth/me", headers=bearer(forged(settings, **claims, key=new, kid="a"))).status_code == 401


class TestLogs:
    def test_have_the_user_and_the_route_but_no_secret(self, stranger, events):
        answer = register(stranger, password="a very secret phrase")
        token = answer.json["token"]
        stranger.post("/auth/login", json={"email": ADA["email"], "password": "a very secret guess"})
        stranger.get("/auth/me?token=in-the-address", headers=bearer(token))
        stranger.post("/auth/register", data=b'{"password": "a very secret mistake', content_type="application/json")
        told = [event for event in events if event["event"] == "request.served"]
        assert [event["status"] for event in told] == [201, 401, 200, 400]
        assert told[2]["user_id"] == answer.json["user"]["id"]
        for secret in ("very secret", token, "in-the-address"):
            assert secret not in str(events)
