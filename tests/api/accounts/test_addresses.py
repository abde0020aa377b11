"""Addresses count once a mailed link was followed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select, update

from models.db import session_scope
from models.services.accounts import addresses, email_links, password_resets
from models.services.credits import ledger
from models.services.notifications import notifications
from models.services.workflows import templates
from models.tables import Channel, EmailLink, Notification, NotificationKind, User
from tasks.queue import TaskName
from tests.support.api.addresses import ADA, balance, change, follow, mailed, me, resend, sign_up, undo
from tests.support.api.graphs import two_steps


class TestVerifying:
    def test_gives_the_welcome_credits_once(self, stranger, session, link):
        headers = sign_up(stranger)
        assert (balance(stranger, headers), me(stranger, headers)["emailVerified"]) == (0, False)
        token = link()
        assert follow(stranger, token).status_code == 200
        assert (balance(stranger, headers), me(stranger, headers)["emailVerified"]) == (10, True)
        assert follow(stranger, token).json["code"] == "link_invalid"
        user = session.scalars(select(User)).one()
        addresses.confirm(session, user, welcome_credits=lambda _: Decimal(10))
        assert [move.key for move in ledger.history(session, user.id)] == [f"welcome:{user.id}"]

    def test_the_mail_leaves_at_once(self, stranger, sent):
        sign_up(stranger)
        assert [message.task for message in sent] == [TaskName.SEND_NOTIFICATION]

    def test_nothing_but_links_is_mailed_before(self, stranger, session, link):
        headers = sign_up(stranger)
        user = session.scalars(select(User)).one()
        for kind in NotificationKind:
            notifications.add(session, user.id, kind, {"linkId": ""}, key=f"test:{kind}")
        assert set(mailed(session, ADA["email"])) == {"email_link", "password_reset"}
        stranger.post("/devices", json={"token": "ExponentPushToken[ada]"}, headers=headers)
        told = notifications.add(session, user.id, NotificationKind.APPROVAL_NEEDED, {}, key="question")
        assert [session.get_one(Notification, one).channel for one in told] == [Channel.PUSH]
        follow(stranger, link())
        told = notifications.add(session, user.id, NotificationKind.APPROVAL_NEEDED, {}, key="another")
        assert len(told) == 2

    def test_fetching_the_page_uses_nothing_up(self, stranger, session, link):
        sign_up(stranger)
        token = link()
        page = stranger.get(f"/verify?token={token}")
        assert (page.status_code, page.mimetype, token in page.text) == (200, "text/html", False)
        assert follow(stranger, token).status_code == 200

    def test_a_link_is_good_for_a_day(self, stranger, session, link):
        sign_up(stranger)
        token = link()
        row = session.scalars(select(EmailLink)).one()
        assert timedelta(hours=23, minutes=59) < row.expires_at - row.created_at <= timedelta(hours=24)
        session.execute(update(EmailLink).values(expires_at=func.now() - timedelta(seconds=1)))
        assert follow(stranger, token).json["code"] == "link_invalid"

    def test_is_stored_as_a_hash_only(self, stranger, session, link):
        sign_up(stranger)
        token = link()
        session.expire_all()
        rows = [*session.scalars(select(EmailLink)), *session.scalars(select(Notification))]
        stored = str([{name: getattr(row, name) for name in row.__table__.columns.keys()} for row in rows])  # noqa: SIM118  # no dict
        assert "token_hash" in stored
        assert token not in stored

    def test_of_two_who_follow_a_link_at_once_one_is_too_late(self, app, committed_database, redis_url, sent):
        client = app.test_client()
        sign_up(client)
        with session_scope() as session:
            token = email_links.issue(session, session.scalars(select(EmailLink.id)).one())
        with ThreadPoolExecutor(2) as pool:
            statuses = sorted(pool.map(lambda _: follow(app.test_client(), token).status_code, range(2)))
        assert statuses == [200, 422]
        with session_scope() as session:
            assert ledger.balance(session, session.scalars(select(User.id)).one()).balance == 10

    def test_dead_links_may_be_tried_five_times(self, stranger):
        assert [follow(stranger, "wrong").status_code for _ in range(6)] == [422] * 5 + [429]
        assert [undo(stranger, "wrong").status_code for _ in range(6)] == [422] * 5 + [429]


class TestResending:
    def test_makes_the_link_before_void(self, stranger, link):
        headers = sign_up(stranger)
        first = link()
        assert resend(stranger, headers).status_code == 202
        second = link()
        assert (follow(stranger, first).status_code, follow(stranger, second).status_code) == (422, 200)

    def test_has_a_limit_of_its_own(self, stranger, session):
        headers = sign_up(stranger)
        assert [resend(stranger, headers).status_code for _ in range(5)] == [202] * 4 + [429]
        assert len(mailed(session, ADA["email"])) == email_links.MAX_PER_HOUR
        session.execute(update(EmailLink).values(created_at=EmailLink.created_at - timedelta(hours=1)))
        assert resend(stranger, headers).status_code == 202

    def test_is_refused_where_nothing_waits(self, stranger, ada):
        assert resend(stranger, ada).json["code"] == "already_verified"

    def test_an_address_gets_a_few_links_an_hour_from_any_account(self, session, new_user):
        for number in range(8):
            user = new_user(f"user-{number}@example.com")
            try:
                addresses.change_profile(session, user.id, email="victim@example.com")
            except addresses.TooManyMails:
                session.rollback()
        assert len(mailed(session, "victim@example.com")) == email_links.MAX_PER_HOUR


class TestChanging:
    def test_counts_once_the_link_to_the_new_address_was_followed(self, stranger, ada, session, link):
        answer = change(stranger, ada, "new@example.com")
        assert (answer.json["email"], answer.json["pendingEmail"]) == (ADA["email"], "new@example.com")
        assert mailed(session, "new@example.com") == ["email_link"]
        assert follow(stranger, link("new@example.com")).status_code == 200
        user = me(stranger, ada)
        assert (user["email"], user["pendingEmail"], user["emailVerified"]) == ("new@example.com", None, True)
        assert "email_changed" in mailed(session, ADA["email"])
        assert balance(stranger, ada) == 10

    def test_an_address_that_was_never_verified_may_be_mended(self, stranger, session, link):
        headers = sign_up(stranger, email="typo@example.com")
        stale = link("typo@example.com")
        change(stranger, headers, "ada@example.com")
        assert follow(stranger, stale).json["code"] == "link_invalid"
        assert follow(stranger, link()).status_code == 200
        assert (me(stranger, headers)["email"], balance(stranger, headers)) == ("ada@example.com", 10)
        assert mailed(session, "typo@example.com") == ["email_link"]

    def test_is_answered_alike_whether_or_not_the_address_is_taken(self, stranger, ada, other, session):
        answers = [change(stranger, ada, email) for email in ("free@example.com", other.email)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert [answer.json["pendingEmail"] for answer in answers] == ["free@example.com", other.email]
        assert mailed(session, other.email) == ["email_in_use"]
        resend(stranger, ada)
        assert mailed(session, other.email) == ["email_in_use"]  # and no second time on that day

    def test_the_same_address_again_leaves_what_is_pending(self, stranger, ada):
        change(stranger, ada, "new@example.com")
        for email in (ADA["email"], "new@example.com"):
            assert change(stranger, ada, email).json["pendingEmail"] == "new@example.com"

    def test_the_first_of_two_accounts_to_verify_an_address_gets_it(self, stranger, ada, session, link):
        eve = sign_up(stranger, email="eve@example.com")
        change(stranger, ada, "new@example.com")
        first = link("new@example.com")
        change(stranger, eve, "new@example.com")
        second = link("new@example.com", of="eve@example.com")
        assert follow(stranger, second).status_code == 200
        assert follow(stranger, first).json["code"] == "email_taken"
        assert me(stranger, ada)["email"] == ADA["email"]

    def test_an_address_that_is_pending_elsewhere_can_be_registered(self, stranger, ada, link):
        change(stranger, ada, "new@example.com")
        pending = link("new@example.com")
        new = sign_up(stranger, email="new@example.com")
        assert me(stranger, new)["email"] == "new@example.com"
        assert follow(stranger, pending).json["code"] == "email_taken"

    def test_links_for_a_new_password_that_went_to_the_old_address_are_void(self, stranger, ada, session, link):
        reset = password_resets.request_reset(session, ADA["email"], None)
        password_resets.send_reset_mail(session, reset.id)
        token = password_resets.issue(session, reset.id)
        change(stranger, ada, "new@example.com")
        follow(stranger, link("new@example.com"))
        answer = stranger.post("/auth/reset-password/confirm", json={"token": token, "newPassword": "a better horse"})
        assert answer.json["code"] == "reset_token_invalid"


class TestPublishing:
    def test_is_for_verified_users_whose_templates_come_after_ours(self, stranger, session, link, other):
        headers = sign_up(stranger)
        template = {"name": "Mine", "category": "c", "published": True, **two_steps()}
        refused = stranger.post("/templates", json=template, headers=headers)
        assert (refused.status_code, refused.json["code"]) == (403, "email_not_verified")
        kept = stranger.post("/templates", json={**template, "published": False}, headers=headers).json["template"][
            "id"
        ]
        published = {"published": True}
        assert stranger.put(f"/templates/{kept}", json=published, headers=headers).json["code"] == "email_not_verified"
        follow(stranger, link())
        assert stranger.put(f"/templates/{kept}", json=published, headers=headers).status_code == 200
        shown = [row.id for row in templates.list_visible(session, other)]
        assert shown[-1] == UUID(kept)
        pages, after = [], None
        while page := templates.list_visible(session, other, limit=2, after=after):
            pages += [row.id for row in page]
            after = (page[-1].created_at, page[-1].id)
        assert pages == shown
        session.execute(update(User).where(User.email == ADA["email"]).values(email_verified_at=None))
        assert UUID(kept) not in [row.id for row in templates.list_visible(session, other)]
