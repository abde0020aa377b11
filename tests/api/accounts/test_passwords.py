"""Changing a password or an address, and setting a new password when it is forgotten."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import func, select, update

from models.db import session_scope
from models.services.accounts import password_resets, passwords
from models.tables import AccessKey, AuditEntry, Notification, NotificationKind, PasswordReset, PushDevice, User
from tasks.queue import TaskName
from tests.support.database.statements import recorded_statements

ADA = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}
NEW = "a better horse"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def sign_up(stranger, **changes) -> str:
    return stranger.post("/auth/register", json={**ADA, **changes}).json["token"]


def log_in(stranger, password: str = ADA["password"], email: str = ADA["email"]):
    return stranger.post("/auth/login", json={"email": email, "password": password})


def change(stranger, token, current=ADA["password"], new=NEW):
    json = {"currentPassword": current, "newPassword": new}
    return stranger.post("/auth/change-password", json=json, headers=bearer(token))


def ask(stranger, email=ADA["email"]):
    return stranger.post("/auth/reset-password", json={"email": email})


def confirm(stranger, token, new=NEW):
    return stranger.post("/auth/reset-password/confirm", json={"token": token, "newPassword": new})


def status(stranger, token) -> int:
    return stranger.get("/auth/me", headers=bearer(token)).status_code


def kinds(session) -> list[str]:
    return [row.kind.value for row in session.scalars(select(Notification).order_by(Notification.created_at))]


@pytest.fixture
def mailed(stranger, session):
    """Asks for a new password, does what the worker does, and gives the token that stands in the mail."""

    def mail(email: str = ADA["email"]) -> str | None:
        assert ask(stranger, email).status_code == 202
        reset_id = session.scalars(select(PasswordReset.id).where(PasswordReset.user_id.is_(None))).one()
        session.execute(update(PasswordReset).values(created_at=PasswordReset.created_at - timedelta(seconds=1)))
        password_resets.send_reset_mail(session, reset_id)
        token = password_resets.issue(session, reset_id)
        session.commit()
        return token

    return mail


class TestProfile:
    def test_answers_the_user_in_both_of_the_shapes_that_apps_read(self, client):
        answer = client.put("/auth/profile", json={"name": " Ada L. ", "email": "ada.l@example.com"})
        assert answer.status_code == 200
        user = client.get("/auth/me").json["user"]
        assert user | {"name": "Ada L.", "email": "ada@example.com", "pendingEmail": "ada.l@example.com"} == user
        assert answer.json == {"user": user, **user}

    def test_changes_only_what_is_given(self, client):
        before = client.get("/auth/me").json["user"]
        assert client.put("/auth/profile", json={}).json["user"] == before
        assert client.put("/auth/profile", json={"name": "Eve"}).json["user"] == before | {"name": "Eve"}

    @pytest.mark.parametrize("body", [{"email": "ada"}, {"name": " "}])
    def test_names_the_field_that_is_wrong(self, client, body):
        answer = client.put("/auth/profile", json=body)
        assert (answer.status_code, [error["field"] for error in answer.json["errors"]]) == (422, list(body))

    def test_another_case_of_the_same_address_is_no_other_address(self, stranger, session):
        token = sign_up(stranger)
        answer = stranger.put("/auth/profile", json={"email": "ADA@example.com"}, headers=bearer(token))
        assert (answer.json["email"], answer.json["pendingEmail"]) == ("ADA@example.com", None)
        assert kinds(session) == ["email_link"]


class TestChange:
    def test_lets_the_new_password_count_and_the_old_one_no_more(self, stranger):
        token = sign_up(stranger)
        assert change(stranger, token).status_code == 200
        assert log_in(stranger).status_code == 401
        assert log_in(stranger, NEW).status_code == 200

    def test_ends_all_other_sessions_and_keeps_this_token(self, stranger, mailed):
        here = sign_up(stranger)
        there = log_in(stranger).json["token"]
        link = mailed()
        change(stranger, here)
        assert (status(stranger, here), status(stranger, there)) == (200, 401)
        assert stranger.post("/auth/refresh", headers=bearer(here)).status_code == 200
        assert confirm(stranger, link).status_code == 422

    def test_of_a_wrong_password_says_so_without_signing_the_app_out(self, stranger, session):
        token = sign_up(stranger)
        answer = change(stranger, token, current="wrong horse")
        assert (answer.status_code, answer.json["code"]) == (422, "wrong_password")
        assert answer.json["errors"][0]["field"] == "currentPassword"
        assert status(stranger, token) == 200
        assert session.scalars(select(AuditEntry).where(AuditEntry.action == "auth.wrong_password")).one()

    def test_may_be_guessed_at_five_times(self, stranger):
        token = sign_up(stranger)
        statuses = [change(stranger, token, current="wrong horse").status_code for _ in range(6)]
        assert statuses == [422] * 5 + [429]
        assert change(stranger, token).status_code == 429

    def test_what_is_wrong_with_the_new_password_is_no_guess(self, stranger):
        token = sign_up(stranger)
        for new in ("short", "12345678", "p@ssw0rd!", "agentforge account", "x" * 1025, "nul\x00inside") * 2:
            answer = change(stranger, token, new=new)
            assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "newPassword")
        assert change(stranger, token).status_code == 200

    def test_notifies_the_user_and_is_audited(self, stranger, session):
        token = sign_up(stranger)
        session.execute(update(User).values(email_verified_at=func.now()))
        headers = bearer(token)
        keys = [stranger.post("/access-keys", json={"name": name}, headers=headers).json["key"] for name in "abc"]
        over = update(AccessKey).where(AccessKey.name == "c").values(expires_at=func.now() - timedelta(days=1))
        session.execute(over)
        change(stranger, token)
        assert [status(stranger, key) for key in keys] == [200, 200, 401]
        told = select(Notification.payload).where(Notification.kind == NotificationKind.PASSWORD_CHANGED)
        assert session.scalars(told).one() == {"accessKeys": 2}
        assert session.scalars(select(AuditEntry).where(AuditEntry.action == "auth.password_changed")).one().actor_id

    def test_of_two_changes_at_once_one_is_too_late(self, app, committed_database, redis_url, sent, monkeypatch):
        client = app.test_client()
        token, both = sign_up(client), Barrier(2)
        check = passwords.is_right
        monkeypatch.setattr(
            passwords, "is_right", lambda *args, **network: both.wait(10) is not None and check(*args, **network)
        )
        with ThreadPoolExecutor(2) as pool:
            changes = [pool.submit(change, app.test_client(), token, new=f"{NEW} {number}") for number in range(2)]
            statuses = sorted(answer.result(20).status_code for answer in changes)
        assert statuses == [200, 409]

    @pytest.mark.parametrize("password", ["lovelace@example.com", "password1", "Lovelace in 1815", "AgentForge 77!"])
    def test_what_is_guessed_first_is_no_password(self, stranger, password):
        owner = {"email": "lovelace@example.com", "name": "Ada Lovelace"}
        answer = stranger.post("/auth/register", json={**owner, "password": password})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "password")
        assert answer.json["message"] == answer.json["errors"][0]["message"]


class TestReset:
    def test_answers_the_same_whether_or_not_there_is_an_account(self, stranger):
        sign_up(stranger)
        answers = [ask(stranger, email) for email in (ADA["email"], "nobody@example.com", "no address")]
        assert {answer.status_code for answer in answers} == {202}
        assert len({str(answer.json) for answer in answers}) == 1

    def test_does_the_same_for_both_so_that_it_takes_as_long(self, stranger, sent):
        sign_up(stranger)
        sent.clear()
        with recorded_statements() as known:
            ask(stranger)
        with recorded_statements() as unknown:
            ask(stranger, "nobody@example.com")
        assert [query for query, _ in known] == [query for query, _ in unknown]
        assert [message.task for message in sent] == [TaskName.SEND_RESET_MAIL] * 2

    def test_the_link_sets_a_password_and_ends_all_sessions(self, stranger, session, mailed):
        old = sign_up(stranger)
        link = mailed()
        assert confirm(stranger, link).status_code == 200
        assert status(stranger, old) == 401
        assert (log_in(stranger).status_code, log_in(stranger, NEW).status_code) == (401, 200)
        assert "password_changed" in kinds(session)
        assert session.scalars(select(AuditEntry).where(AuditEntry.action == "auth.password_reset")).one()

    def test_ends_the_access_keys_and_sends_nothing_more_to_phones(self, stranger, session, mailed):
        headers = bearer(sign_up(stranger))
        key = stranger.post("/access-keys", json={"name": "a"}, headers=headers).json["key"]
        assert status(stranger, key) == 200
        stranger.post("/devices", json={"token": "ExponentPushToken[thief]"}, headers=headers)
        confirm(stranger, mailed())
        assert status(stranger, key) == 401
        assert session.scalars(select(PushDevice)).all() == []

    def test_works_once(self, stranger, mailed):
        sign_up(stranger)
        link = mailed()
        assert confirm(stranger, link).status_code == 200
        again = confirm(stranger, link, "another horse")
        assert (again.status_code, again.json["code"]) == (422, "reset_token_invalid")
        assert log_in(stranger, NEW).status_code == 200

    def test_works_for_half_an_hour(self, stranger, session, mailed):
        sign_up(stranger)
        link = mailed()
        left = session.scalar(select(PasswordReset.expires_at - func.clock_timestamp()))
        assert timedelta(minutes=29) < left <= timedelta(minutes=30)
        session.execute(update(PasswordReset).values(expires_at=func.clock_timestamp()))
        session.commit()
        assert confirm(stranger, link).json["code"] == "reset_token_invalid"

    def test_only_the_newest_link_works(self, stranger, mailed):
        sign_up(stranger)
        first, second = mailed(), mailed()
        assert confirm(stranger, first).status_code == 422
        assert confirm(stranger, second).status_code == 200

    def test_a_password_that_will_not_do_leaves_the_link_as_it_was(self, stranger, mailed):
        sign_up(stranger)
        link = mailed()
        for new in ("short", "password1"):
            assert confirm(stranger, link, new).json["errors"][0]["field"] == "newPassword"
        assert confirm(stranger, link).status_code == 200

    def test_is_stored_as_a_hash_only(self, stranger, session, mailed):
        sign_up(stranger)
        link = mailed()
        session.commit()
        rows = [*session.scalars(select(PasswordReset)), *session.scalars(select(Notification))]
        stored = str([vars(row) for row in rows])
        assert "token_hash" in stored
        assert link not in stored

    def test_of_two_who_use_a_link_at_once_one_is_too_late(self, app, committed_database, redis_url, sent):
        client = app.test_client()
        sign_up(client)
        ask(client)
        with session_scope() as session:
            reset_id = session.scalars(select(PasswordReset.id)).one()
            password_resets.send_reset_mail(session, reset_id)
            link = password_resets.issue(session, reset_id)
        with ThreadPoolExecutor(2) as pool:
            uses = [pool.submit(confirm, app.test_client(), link, f"{NEW} {number}") for number in range(2)]
            statuses = sorted(answer.result(20).status_code for answer in uses)
        assert statuses == [200, 422]

    def test_may_be_asked_for_five_times_and_tried_five_times(self, stranger):
        assert [ask(stranger).status_code for _ in range(6)] == [202] * 5 + [429]
        assert [confirm(stranger, "wrong").status_code for _ in range(6)] == [422] * 5 + [429]

    def test_sends_a_user_a_few_mails_an_hour_for_any_caller(self, stranger, mailed, redis_server):
        sign_up(stranger)
        for number in range(password_resets.MAX_MAILS):
            stranger.environ_base["REMOTE_ADDR"] = f"10.0.0.{number}"
            assert mailed()
        stranger.environ_base["REMOTE_ADDR"] = "10.0.1.1"
        assert mailed() is None


class TestPage:
    def test_says_what_the_link_is_for_and_loads_nothing(self, stranger):
        answer = stranger.get("/reset-password")
        assert answer.content_type.startswith("text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert "//" not in answer.text.replace("<!doctype", "")
