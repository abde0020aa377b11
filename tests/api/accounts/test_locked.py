"""A locked account: no session, no sign-in and no access key, until an operator unlocks it."""

import pytest
from sqlalchemy import select

from models.services.accounts import access_keys, account_access, sessions
from models.tables import User

ADA = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}


@pytest.fixture
def account(session, stranger) -> tuple[User, str, str]:
    """A user with a token and an access key."""
    token = stranger.post("/auth/register", json=ADA).json["token"]
    user = session.scalars(select(User).where(User.email == ADA["email"])).one()
    _, key = access_keys.create(session, user.id, name="robot")
    session.commit()
    return user, token, key


def status(stranger, secret: str) -> int:
    return stranger.get("/workflows", headers={"Authorization": f"Bearer {secret}"}).status_code


def log_in(stranger, password: str = ADA["password"]):
    return stranger.post("/auth/login", json={"email": ADA["email"], "password": password})


def test_a_locked_account_is_closed_until_it_is_unlocked(session, stranger, account):
    user, token, key = account
    assert (status(stranger, token), status(stranger, key)) == (200, 200)
    account_access.lock(session, user.id)
    session.commit()
    assert (status(stranger, token), status(stranger, key)) == (401, 401)
    refused = log_in(stranger)
    assert (refused.status_code, refused.json["code"]) == (403, "account_locked")
    assert "token" not in refused.json
    account_access.unlock(session, user.id)
    session.commit()
    assert (status(stranger, token), status(stranger, key)) == (401, 200)
    assert status(stranger, log_in(stranger).json["token"]) == 200


def test_only_the_owner_of_the_password_learns_of_the_lock(session, stranger, account):
    account_access.lock(session, account[0].id)
    session.commit()
    assert log_in(stranger, "a wrong one").json["code"] == "wrong_credentials"


def test_a_client_that_waits_with_an_access_key_is_told(session, account):
    user, _, _ = account
    (key,) = access_keys.list_owned(session, user.id, limit=1)
    assert sessions.live_credentials(session, [key.id]) == {key.id}
    account_access.lock(session, user.id)
    assert sessions.live_credentials(session, [key.id]) == set()
