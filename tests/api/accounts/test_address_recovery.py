"""Owners take addresses back: from a thief by the link to the old address, from a squatter by a reset."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from models.db import session_scope
from models.rules.executions.states import ExecutionStatus
from models.services.accounts import account_access, accounts, addresses, email_links, password_resets
from models.services.credits import ledger
from models.services.orchestration import deadlines
from models.tables import EmailLink, Execution, PasswordReset, ProviderKey, PushDevice, Template, User, Workflow
from tasks.queue import TaskName
from tests.support import factories
from tests.support.api.addresses import ADA, UNDO, bearer, change, follow, mailed, sign_up, undo
from tests.support.api.graphs import two_steps, workflow


class TestUndoing:
    @pytest.fixture
    def stolen(self, stranger, ada, link) -> str:
        """A thief with the token has replaced the address; the link that went to the old one."""
        stranger.post("/devices", json={"token": "ExponentPushToken[thief]"}, headers=ada)
        change(stranger, ada, "thief@example.com")
        assert follow(stranger, link("thief@example.com")).status_code == 200
        return link(purpose=UNDO)

    def test_the_old_address_takes_itself_back_from_a_thief(self, stranger, ada, stolen, session, sent):
        key = stranger.post("/access-keys", json={"name": "thief"}, headers=ada).json["key"]
        change(stranger, ada, "second@example.com")
        sent.clear()
        assert undo(stranger, stolen).status_code == 200
        assert [stranger.get("/auth/me", headers=headers).status_code for headers in (ada, bearer(key))] == [401, 401]
        user = session.scalars(select(User)).one()
        assert (user.email, user.pending_email, user.email_verified_at is None) == (ADA["email"], None, False)
        login = stranger.post("/auth/login", json={"email": ADA["email"], "password": ADA["password"]})
        assert login.status_code == 401
        assert session.scalars(select(PushDevice)).all() == []
        assert [message.task for message in sent] == [TaskName.SEND_RESET_MAIL]
        assert session.scalars(select(PasswordReset.email)).one() == ADA["email"]
        assert undo(stranger, stolen).json["code"] == "link_invalid"

    def test_is_possible_for_72_hours(self, stranger, stolen, session):
        row = session.scalars(select(EmailLink).where(EmailLink.purpose == UNDO)).one()
        assert timedelta(hours=71, minutes=59) < row.expires_at - row.created_at <= timedelta(hours=72)
        session.execute(update(EmailLink).values(expires_at=func.now() - timedelta(seconds=1)))
        assert undo(stranger, stolen).json["code"] == "link_invalid"

    def test_counts_more_than_the_links_that_the_thief_got_later(self, stranger, ada, stolen, session, link):
        change(stranger, ada, "second@example.com")
        follow(stranger, link("second@example.com"))
        thiefs = link("thief@example.com", UNDO)
        session.execute(
            update(EmailLink).where(EmailLink.email == ADA["email"]).values(created_at=func.now() - timedelta(hours=1))
        )
        assert undo(stranger, stolen).status_code == 200
        assert undo(stranger, thiefs).json["code"] == "link_invalid"
        assert session.scalars(select(User.email)).one() == ADA["email"]

    def test_the_thiefs_own_undo_leaves_the_owners(self, stranger, ada, stolen, session, link):
        session.execute(update(EmailLink).values(created_at=EmailLink.created_at - timedelta(hours=1)))
        change(stranger, ada, "second@example.com")
        follow(stranger, link("second@example.com"))
        assert undo(stranger, link("thief@example.com", UNDO)).status_code == 200
        assert undo(stranger, stolen).status_code == 200
        assert session.scalars(select(User.email)).one() == ADA["email"]

    def test_the_old_address_stays_reserved_while_it_can_be_restored(self, stranger, stolen, other, session):
        answer = stranger.post("/auth/register", json={**ADA, "email": "ADA@example.com"})
        assert (answer.status_code, answer.json["code"]) == (409, "email_taken")
        addresses.change_profile(session, other.id, email=ADA["email"])
        newest = select(EmailLink.id).where(EmailLink.user_id == other.id)
        token = email_links.issue(session, session.scalars(newest).one())
        session.commit()
        assert follow(stranger, token).json["code"] == "email_taken"
        session.execute(update(EmailLink).values(expires_at=func.now() - timedelta(seconds=1)))
        session.commit()
        assert stranger.post("/auth/register", json={**ADA, "name": "Later"}).status_code == 201

    def test_the_old_address_cannot_be_registered_while_it_is_changed(self, app, committed_database, redis_url, sent):
        client = app.test_client()
        headers = sign_up(client)
        with session_scope() as session:
            session.execute(update(User).values(email_verified_at=func.now()))
        change(client, headers, "thief@example.com")
        with session_scope() as session:
            wanted = select(EmailLink.id).where(EmailLink.email == "thief@example.com")
            token = email_links.issue(session, session.scalars(wanted).one())
        both = Barrier(2)

        def register() -> str:
            both.wait(10)
            for _ in range(20):
                answer = app.test_client().post("/auth/register", json=ADA, environ_base={"REMOTE_ADDR": "10.0.0.9"})
                if answer.status_code != 409:
                    return str(answer.json)
            return "refused"

        with ThreadPoolExecutor(2) as pool:
            tried = pool.submit(register)
            both.wait(10)
            assert follow(client, token).status_code == 200
            assert "rate_limited" in tried.result(30) or tried.result(30) == "refused"


class TestRecovering:
    def test_a_reset_by_the_owner_deletes_what_a_squatter_stored(self, stranger, session, link):
        squatter = sign_up(stranger, name="Call +1 555 0100 now")
        user = session.scalars(select(User)).one()
        ledger.grant(session, user.id, Decimal(10), key="bought", reason="Bought", source="purchase")
        session.commit()
        key = stranger.post("/access-keys", json={"name": "k"}, headers=squatter).json["key"]
        stranger.put("/api-keys/openai", json={"key": "sk-test-0123456789abcdef"}, headers=squatter)
        stranger.post("/devices", json={"token": "ExponentPushToken[squatter]"}, headers=squatter)
        stranger.post("/templates", json={"name": "T", "category": "c", **two_steps()}, headers=squatter)
        saved = stranger.post("/workflows", json=workflow(), headers=squatter).json["workflow"]["id"]
        run = UUID(stranger.post(f"/workflows/{saved}/execute", json={}, headers=squatter).json["id"])
        change(stranger, squatter, "squatter@example.com")
        pending = link("squatter@example.com")
        reset = password_resets.request_reset(session, ADA["email"], None)
        password_resets.send_reset_mail(session, reset.id)
        token = password_resets.issue(session, reset.id)
        session.commit()
        answer = stranger.post("/auth/reset-password/confirm", json={"token": token, "newPassword": "a better horse"})
        assert answer.status_code == 200
        assert [stranger.get("/auth/me", headers=headers).status_code for headers in (squatter, bearer(key))] == [
            401
        ] * 2
        assert follow(stranger, pending).json["code"] == "link_invalid"
        for table in (ProviderKey, PushDevice, Template):
            owned = table.owner_id if table is Template else table.user_id
            assert session.scalars(select(table).where(owned == user.id)).all() == []
        assert session.scalars(select(Workflow).where(Workflow.deleted_at.is_(None))).all() == []
        session.expire_all()
        assert (user.name, user.pending_email, user.email_verified_at is None) == ("ada", None, False)
        assert deadlines.end(session, run)
        assert session.get_one(Execution, run).status is ExecutionStatus.CANCELLED
        assert "password_changed" in mailed(session, ADA["email"])
        assert ledger.balance(session, user.id).balance == 20  # with the welcome credits

    def test_leaves_an_owners_workflows_alone(self, stranger, session, ada):
        stranger.post("/workflows", json=workflow(), headers=ada)
        user = session.scalars(select(User)).one()
        addresses.recover(session, user.id, welcome_credits=lambda _: Decimal(10))
        accounts.set_password(session, user.id, "!")
        assert session.scalars(select(Workflow.deleted_at)).one() is None
        assert ledger.balance(session, user.id).balance == 10

    def test_stops_runs_that_wait_for_a_hundred_days(self, session):
        run = factories.execution(session, status=ExecutionStatus.WAITING)
        account_access.stop_runs(session, run.user_id)
        assert deadlines.late(session) == [run.id]
