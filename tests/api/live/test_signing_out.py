"""Ended sessions and deleted keys get no more updates, also on connections opened before."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, update

from models.db import session_scope
from models.services.accounts import accounts, addresses, deletions, sessions
from models.tables import AccessKey, User, UserSession
from models.vault import Vault
from settings import DEVELOPMENT_KEY
from tests.api.live import Asking, happen, until
from tests.api.live.test_streams import Listening
from tests.support import factories


@pytest.fixture(autouse=True)
def _told(place, told):
    """Run the notifier, and publish changes."""


def owner_of(client) -> UUID:
    return UUID(client.get("/auth/me").json["user"]["id"])


def log_out(client) -> None:
    assert client.post("/auth/logout").status_code == 200


def end_everywhere(client) -> None:
    with session_scope() as session:
        sessions.end_others(session, owner_of(client))


def reset_password(client) -> None:
    with session_scope() as session:
        accounts.set_password(session, owner_of(client), "another hash")


def delete_the_account(client) -> None:
    owner = owner_of(client)
    with session_scope() as session:
        deletions.delete_account(session, session.get_one(User, owner), vault=Vault(DEVELOPMENT_KEY))


def let_the_owner_reset(client) -> None:
    """Let the owner of an address that another person registered reset the password."""
    owner = owner_of(client)
    with session_scope() as session:
        session.execute(update(User).where(User.id == owner).values(email_verified_at=None))
        addresses.recover(session, owner, welcome_credits=lambda _: Decimal(0))


def expire(client) -> None:
    owner = owner_of(client)
    with session_scope() as session:
        past = {"expires_at": func.now() - timedelta(seconds=1)}
        session.execute(update(UserSession).where(UserSession.user_id == owner).values(**past))


ENDINGS = [log_out, end_everywhere, reset_password, expire, delete_the_account, let_the_owner_reset]


@pytest.mark.parametrize("end", ENDINGS)
def test_the_end_of_a_session_ends_its_stream_and_its_long_poll(client, run, place, end):
    listening = Listening(client, run)
    listening.next()
    asking = Asking(client, place, f"/executions/{run}?wait=30&since=1")
    begun = time.monotonic()
    end(client)
    assert listening.rest() == []
    assert asking.answer().status_code == 401
    assert time.monotonic() - begun < 20  # of the 30 that they would have waited
    until(lambda: len(place) == 0)


def with_key(client, **changes):
    """A client with an access key of the same user, and the key's id."""
    made = client.post("/access-keys", json={"name": "Program", "scopes": ["executions:read"], **changes}).json
    program = client.application.test_client()
    program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {made['key']}"
    return program, made["accessKey"]["id"]


def test_a_key_that_is_deleted_ends_its_stream(client, run):
    program, key_id = with_key(client)
    listening, mine = Listening(program, run), Listening(client, run)
    listening.next(), mine.next()
    assert client.delete(f"/access-keys/{key_id}").status_code == 204
    begun = time.monotonic()
    assert listening.rest() == []
    assert time.monotonic() - begun < 20
    happen(run)
    assert mine.next()[0]["type"] == "node.success"
    mine.close()


def test_a_key_that_expires_ends_its_long_poll(client, run, place):
    program, key_id = with_key(client, expiresAt=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    asking = Asking(program, place, f"/executions/{run}?wait=30&since=1")
    with session_scope() as session:
        row = update(AccessKey).where(AccessKey.id == UUID(key_id))
        session.execute(row.values(expires_at=func.now() - timedelta(seconds=1)))
    begun = time.monotonic()
    assert asking.answer().status_code == 401
    assert time.monotonic() - begun < 20


def test_two_thousand_waiting_clients_are_checked_in_one_query(shared_database):
    with session_scope() as session:
        user = factories.user(session)
        rows = [sessions.start(session, user, user_agent=None, address=None).id for _ in range(50)]
    asked = {*rows, *(uuid4() for _ in range(1950))}
    with session_scope() as session:
        begun = time.monotonic()
        found = sessions.live_credentials(session, asked)
        assert time.monotonic() - begun < 5
    assert found == set(rows)
