"""Sessions: refreshed, reused by a thief, listed and ended; and the log of what was done to an account."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import func, select, text, update

from api import create_app
from api.limits.concurrency import WORKING_SLOTS
from models.db import connect, session_scope
from models.services.accounts import sessions
from models.tables import AuditEntry, UserSession
from tests.api.conftest import token_of
from tests.support import factories
from tests.support.database.statements import recorded_statements

ADA = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def sign_up(stranger) -> str:
    return stranger.post("/auth/register", json=ADA).json["token"]


def log_in(stranger) -> str:
    return stranger.post("/auth/login", json={"email": ADA["email"], "password": ADA["password"]}).json["token"]


def refresh(stranger, token):
    return stranger.post("/auth/refresh", json={}, headers=bearer(token))


def status(stranger, token) -> int:
    return stranger.get("/auth/me", headers=bearer(token)).status_code


def let_pass(session, seconds: float) -> None:
    """Move the past of all sessions back."""
    moved = text("""
        UPDATE sessions SET last_seen_at = last_seen_at - make_interval(secs => :seconds),
               refreshed_at = ARRAY(SELECT t - make_interval(secs => :seconds) FROM unnest(refreshed_at) t)
    """)
    session.execute(moved, {"seconds": seconds})
    session.commit()
    session.expire_all()


class TestRefresh:
    def test_gives_a_new_token_and_ends_the_old_one_after_a_grace(self, stranger, session):
        old = sign_up(stranger)
        new = refresh(stranger, old).json["token"]
        assert new != old
        let_pass(session, 58)
        assert (status(stranger, old), status(stranger, new)) == (200, 200)
        let_pass(session, 2)
        assert status(stranger, new) == 200
        assert status(stranger, old) == 401

    def test_a_repeat_after_a_lost_response_returns_a_token_that_works_too(self, stranger, session):
        old = sign_up(stranger)
        first, second = (refresh(stranger, old).json["token"] for _ in range(2))
        let_pass(session, 61)
        assert (status(stranger, first), status(stranger, second)) == (200, 200)
        third = refresh(stranger, first).json["token"]
        assert (status(stranger, second), status(stranger, third)) == (200, 200)

    def test_leaves_each_token_its_own_grace_however_often_it_is_asked(self, stranger, session):
        first = sign_up(stranger)
        second = refresh(stranger, first).json["token"]
        let_pass(session, 30)
        third = refresh(stranger, second).json["token"]
        assert [status(stranger, token) for token in (first, second, third)] == [200, 200, 200]
        let_pass(session, 31)
        assert [status(stranger, token) for token in (second, third)] == [200, 200]
        assert status(stranger, first) == 401

    @pytest.mark.parametrize("ask", ["/auth/me", "/auth/refresh"])
    def test_use_of_an_old_token_after_its_grace_ends_the_whole_session(self, stranger, session, ask):
        stolen = sign_up(stranger)
        elsewhere = log_in(stranger)
        new = refresh(stranger, stolen).json["token"]
        let_pass(session, 61)
        method = "GET" if ask == "/auth/me" else "POST"
        answer = stranger.open(ask, method=method, headers=bearer(stolen))
        assert (answer.status_code, answer.json["code"]) == (401, "token_reused")
        assert status(stranger, new) == 401
        assert refresh(stranger, new).status_code == 401
        assert status(stranger, elsewhere) == 200
        assert session.scalars(select(AuditEntry.action).where(AuditEntry.action == "auth.token_reused")).all()

    def test_use_of_an_old_token_by_several_at_once_is_refused_to_each(self, stranger, session, monkeypatch):
        stolen = sign_up(stranger)
        refresh(stranger, stolen)
        let_pass(session, 61)
        look = sessions.authenticate

        def overtaken(asking, token):
            found = look(asking, token)
            sessions.end(asking, token.user_id, token.session_id)  # as another request does meanwhile
            return found

        monkeypatch.setattr(sessions, "authenticate", overtaken)
        answer = stranger.get("/auth/me", headers=bearer(stolen))
        assert (answer.status_code, answer.json["code"]) == (401, "token_reused")

    def test_a_token_whose_refresh_is_no_longer_recorded_counts_as_reused(self, stranger, session):
        token = first = sign_up(stranger)
        for _ in range(sessions.REMEMBERED + 1):
            token = refresh(stranger, token).json["token"]
        assert status(stranger, token) == 200
        assert status(stranger, first) == 401

    def test_of_a_session_that_was_ended_is_refused(self, stranger):
        token = sign_up(stranger)
        stranger.post("/auth/logout", headers=bearer(token))
        assert refresh(stranger, token).status_code == 401

    def test_is_refused_half_a_year_after_signing_in(self, stranger, session, settings):
        token = sign_up(stranger)
        assert settings.session_days == 180
        session.execute(update(UserSession).values(created_at=func.now() - timedelta(days=179, hours=23)))
        session.commit()
        token = refresh(stranger, token).json["token"]
        session.execute(update(UserSession).values(created_at=func.now() - timedelta(days=180)))
        session.commit()
        answer = refresh(stranger, token)
        assert (answer.status_code, answer.json["code"]) == (401, "not_authenticated")
        assert status(stranger, token) == 200  # until the day of its last token is over
        assert refresh(stranger, log_in(stranger)).status_code == 200

    def test_lets_a_session_live_on(self, stranger, session):
        token = sign_up(stranger)
        session.execute(update(UserSession).values(expires_at=func.now()))
        session.commit()
        refresh(stranger, token)
        assert session.scalar(select(UserSession.expires_at - func.now())) > timedelta(hours=23)


class TestTogether:
    def test_refreshes_of_one_token_at_once_all_work_and_end_nothing(self, app, committed_database, redis_url):
        with session_scope() as session:
            user = factories.user(session)
        old, start = token_of(app, user), Barrier(6)

        def ask(_: int) -> str:
            start.wait(10)
            return refresh(app.test_client(), old).json["token"]

        with ThreadPoolExecutor(6) as pool:
            new = list(pool.map(ask, range(6)))
        with session_scope() as session:
            let_pass(session, 61)
        assert {status(app.test_client(), token) for token in new} == {200}
        with session_scope() as session:
            assert session.scalar(select(UserSession.generation)) == 1

    def test_signing_out_counts_on_every_instance_at_once(self, app, settings, committed_database, redis_url):
        with session_scope() as session:
            user = factories.user(session)
        token = token_of(app, user)
        there = create_app(settings).test_client()
        assert status(there, token) == 200
        app.test_client().post("/auth/logout", headers=bearer(token))
        assert status(there, token) == 401

    def test_the_end_of_all_sessions_reaches_one_that_begins_at_that_moment(self, app, committed_database, redis_url):
        """The password was right when it was checked; meanwhile it is changed, and only then is the session written."""
        with session_scope() as session:
            user = factories.user(session)
        with session_scope() as session:
            sessions.end_others(session, user.id)
        assert status(app.test_client(), token_of(app, user)) == 401


class TestHolding:
    def test_asking_who_asks_takes_one_query(self, client):
        with recorded_statements() as asked:
            assert client.get("/auth/me").status_code == 200
        assert len(asked) == 1, asked

    def test_last_seen_is_written_once_a_minute(self, client, session):
        def last_seen():
            session.expire_all()
            return session.scalar(select(UserSession.last_seen_at))

        before = last_seen()
        client.get("/auth/me")
        assert last_seen() == before
        let_pass(session, 61)
        past = last_seen()
        client.get("/no/such/address")
        assert last_seen() - past > timedelta(seconds=60)


class TestList:
    def test_shows_where_the_caller_is_signed_in(self, stranger, session):
        stranger.environ_base["HTTP_USER_AGENT"] = "Phone/1.0 " + "x" * 400
        token = sign_up(stranger)
        stranger.environ_base["HTTP_USER_AGENT"] = "Tablet/2.0"
        log_in(stranger)
        answer = stranger.get("/auth/sessions", headers=bearer(token)).json
        assert answer["count"] == 2
        assert sorted((item["userAgent"][:6], item["current"]) for item in answer["sessions"]) == [
            ("Phone/", True),
            ("Tablet", False),
        ]
        for item in answer["sessions"]:
            assert set(item) == {"id", "createdAt", "lastSeenAt", "expiresAt", "userAgent", "address", "current"}
            assert item["address"] == "127.0.0.1"

    def test_leaves_out_what_is_over_and_what_is_anothers(self, client, session, user, sign_in, other):
        sign_in(other)
        over = sessions.start(session, user, user_agent=None, address=None)
        over.expires_at = func.now() - timedelta(minutes=1)
        session.commit()
        assert client.get("/auth/sessions").json["count"] == 1


class TestEnding:
    def test_one_session_leaves_the_others(self, stranger):
        here, there = sign_up(stranger), log_in(stranger)
        found = stranger.get("/auth/sessions", headers=bearer(here)).json["sessions"]
        away = next(item["id"] for item in found if not item["current"])
        assert stranger.delete(f"/auth/sessions/{away}", headers=bearer(here)).status_code == 204
        assert (status(stranger, here), status(stranger, there)) == (200, 401)
        assert stranger.delete(f"/auth/sessions/{away}", headers=bearer(here)).status_code == 404

    def test_all_others_leaves_this_one(self, stranger, session):
        here, *others = sign_up(stranger), log_in(stranger), log_in(stranger)
        assert stranger.delete("/auth/sessions", headers=bearer(here)).status_code == 204
        assert status(stranger, here) == 200
        assert [status(stranger, token) for token in others] == [401, 401]
        assert stranger.get("/auth/sessions", headers=bearer(here)).json["count"] == 1

    def test_signing_out_ends_every_token_of_the_session(self, stranger):
        old = sign_up(stranger)
        new = refresh(stranger, old).json["token"]
        assert stranger.post("/auth/logout", headers=bearer(new)).status_code == 200
        assert (status(stranger, old), status(stranger, new)) == (401, 401)


class TestHashing:
    def test_holds_no_connection_and_no_working_slot(self, app, committed_database, redis_url, monkeypatch):
        engine = connect(committed_database)
        places = WORKING_SLOTS.free
        held = []

        def look(answer):
            return lambda *_: held.append((engine.pool.checkedout(), places - WORKING_SLOTS.free)) or answer

        monkeypatch.setattr("bcrypt.checkpw", look(True))
        monkeypatch.setattr("bcrypt.hashpw", look(b"$2b$04$hash"))
        client = app.test_client()
        token = client.post("/auth/register", json=ADA).json["token"]
        login = {"email": ADA["email"], "password": ADA["password"]}
        assert client.post("/auth/login", json=login, headers=bearer(token)).status_code == 200
        client.post("/auth/register", json=ADA, headers=bearer(token))
        change = {"currentPassword": ADA["password"], "newPassword": "a better horse"}
        assert client.post("/auth/change-password", json=change, headers=bearer(token)).status_code == 200
        engine.dispose()
        assert held == [(0, 0)] * 5
        assert WORKING_SLOTS.free == places
