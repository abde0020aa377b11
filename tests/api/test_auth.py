"""Signing up, in and out, and which tokens count."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest
from sqlalchemy import update

from api.auth import AUDIENCE, ISSUER, REFRESH_GRACE_SECONDS
from models.services import accounts
from models.user import RevokedToken

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
        assert set(answer.json["user"]) == {"id", "email", "name", "subscriptionTier"}
        assert answer.json["user"]["subscriptionTier"] == "free"
        me = stranger.get("/api/auth/me", headers=bearer(answer.json["token"]))
        assert me.json == {"user": answer.json["user"]}

    def test_gives_welcome_credits(self, stranger):
        token = register(stranger).json["token"]
        assert stranger.get("/credits/balance", headers=bearer(token)).json["balance"] == 10

    def test_refuses_an_address_that_is_taken_whatever_its_case(self, stranger):
        register(stranger)
        answer = register(stranger, email="aDA@EXAMPLE.com")
        assert (answer.status_code, answer.json["code"]) == (409, "email_taken")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("email", "ada"),
            ("email", "a" * 250 + "@example.com"),
            ("email", 7),
            ("password", "seven77"),
            ("password", "x" * 1025),
            ("password", None),
            ("name", "   "),
            ("name", "x" * 201),
            ("role", "admin"),
            ("credits", 1000),
            ("subscriptionTier", "enterprise"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, stranger, field, value):
        answer = register(stranger, **{field: value})
        assert (answer.status_code, answer.json["code"]) == (422, "invalid_input")
        assert [item["field"] for item in answer.json["errors"]] == [field]

    def test_takes_passwords_longer_than_bcrypt_does(self, stranger):
        long = "\N{GRINNING FACE}" * 64
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

    def test_a_stale_token_does_not_keep_anybody_from_signing_in(self, stranger):
        register(stranger)
        login = {"email": ADA["email"], "password": ADA["password"]}
        assert stranger.post("/auth/login", json=login, headers=bearer("stale")).status_code == 200


class TestSessions:
    def test_refreshing_gives_a_new_token_and_ends_the_old_one_after_a_grace(self, stranger, session):
        old = register(stranger).json["token"]
        new = stranger.post("/auth/refresh", json={}, headers=bearer(old)).json["token"]
        assert stranger.get("/auth/me", headers=bearer(old)).status_code == 200
        grace = timedelta(seconds=REFRESH_GRACE_SECONDS)
        session.execute(update(RevokedToken).values(works_until=RevokedToken.works_until - grace))
        assert stranger.get("/auth/me", headers=bearer(old)).status_code == 401
        assert stranger.get("/auth/me", headers=bearer(new)).status_code == 200

    def test_a_token_is_worthless_after_signing_out(self, stranger):
        token = register(stranger).json["token"]
        assert stranger.post("/auth/logout", headers=bearer(token)).status_code == 200
        assert stranger.get("/auth/me", headers=bearer(token)).status_code == 401

    def test_a_new_epoch_ends_every_token_of_the_user(self, client, session, user):
        assert client.get("/auth/me").status_code == 200
        accounts.end_sessions(session, user.id)
        session.commit()
        assert client.get("/auth/me").status_code == 401

    def test_a_token_of_a_user_who_is_gone_is_refused(self, stranger, settings):
        token = forged(settings, sub=str(uuid4()))
        assert stranger.get("/auth/me", headers=bearer(token)).status_code == 401


def forged(settings, *, without: str = "", key: str = "", algorithm: str = "HS256", **claims) -> str:
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
        "epoch": 0,
        **claims,
    }
    good.pop(without, None)
    secret = None if algorithm == "none" else key or settings.jwt_secret
    return jwt.encode(good, secret, algorithm=algorithm)


class TestForgery:
    def test_a_token_with_every_claim_is_accepted(self, stranger, settings, user):
        token = forged(settings, sub=str(user.id))
        assert stranger.get("/auth/me", headers=bearer(token)).status_code == 200

    @pytest.mark.parametrize("claim", ["iss", "aud", "iat", "nbf", "exp", "jti", "type", "sub", "epoch"])
    def test_a_token_that_lacks_a_claim_is_refused(self, stranger, settings, user, claim):
        token = forged(settings, sub=str(user.id), without=claim)
        assert stranger.get("/auth/me", headers=bearer(token)).status_code == 401

    @pytest.mark.parametrize(
        "change",
        [
            {"iss": "somebody"},
            {"aud": "something"},
            {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
            {"type": "refresh"},
            {"jti": "not-a-uuid"},
            {"jti": 7},
            {"sub": "not-a-uuid"},
            {"epoch": 1},
            {"epoch": "0"},
            {"algorithm": "HS512"},
            {"algorithm": "none"},
            {"key": "another-secret-of-32-bytes-or-more-than-that"},
        ],
        ids=str,
    )
    def test_a_token_with_something_wrong_is_refused(self, stranger, settings, user, change):
        token = forged(settings, **{"sub": str(user.id), **change})
        answer = stranger.get("/auth/me", headers=bearer(token))
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.content_type == "application/problem+json"

    def test_an_expired_token_is_called_so(self, stranger, settings, user):
        token = forged(settings, sub=str(user.id), exp=datetime(2020, 1, 1, tzinfo=UTC))
        assert stranger.get("/auth/me", headers=bearer(token)).json["code"] == "token_expired"

    @pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer a b", "Basic abc", "bearer\x7f", "Bearer ...", ""])
    def test_a_header_that_is_none_is_refused(self, stranger, header):
        assert stranger.get("/auth/me", headers={"Authorization": header}).status_code == 401

    def test_tokens_elsewhere_do_not_count(self, stranger, settings, user):
        token = forged(settings, sub=str(user.id))
        stranger.set_cookie("access_token_cookie", token)
        assert stranger.get(f"/auth/me?jwt={token}&token={token}").status_code == 401


class TestLogs:
    def test_tell_who_asked_for_what_and_never_a_secret(self, stranger, events):
        answer = register(stranger, password="a very secret phrase")
        token = answer.json["token"]
        stranger.post("/auth/login", json={"email": ADA["email"], "password": "a very secret guess"})
        stranger.get("/auth/me?token=in-the-address", headers=bearer(token))
        stranger.post("/auth/register", data=b'{"password": "a very secret mistake', content_type="application/json")
        told = [event for event in events if event["event"] == "request"]
        assert [event["status"] for event in told] == [201, 401, 200, 400]
        assert told[2]["user_id"] == answer.json["user"]["id"]
        for secret in ("very secret", token, "in-the-address"):
            assert secret not in str(events)
