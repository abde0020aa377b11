"""Mails about an account: the link for a new password is made when its mail is sent, and is nowhere else."""

from collections.abc import Iterator
from uuid import UUID

import pytest
import structlog
from sqlalchemy import func, select, text

from devstack.mail_catcher import MailCatcher, running_mail_catcher
from models.db import session_scope
from models.notification import Notification, NotificationStatus
from models.password_reset import PasswordReset
from models.services import accounts, password_resets
from models.services.password_resets import ResetTokenInvalid
from models.user import User
from tasks import notifications as tasks
from tasks.queue import Doorbell, TaskName, publish_through
from tests import factories
from workers.gateways.mail import MailGateway
from workers.gateways.push import PushGateway
from workers.notifications.sender import Sender

APP = "https://api.agentforge.example"


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    with running_mail_catcher() as catcher:
        yield catcher


@pytest.fixture
def bells(catcher, committed_database, monkeypatch) -> Iterator[list[Doorbell]]:
    """The doorbells that were rung, each answered by a worker at once."""
    mail = MailGateway(catcher.smtp_url, "AgentForge <no-reply@agentforge.example>", seconds=2)
    sender = Sender(mail, PushGateway(catcher.url, seconds=2), app_url=APP + "/")
    monkeypatch.setattr(tasks, "sender", lambda: sender)
    rung: list[Doorbell] = []

    def answer(bell: Doorbell) -> None:
        rung.append(bell)
        {TaskName.ANSWER_RESET: tasks.answer_reset, TaskName.SEND_NOTIFICATION: tasks.send_notification}[bell.task](
            **bell.ids
        )

    before = publish_through(answer)
    yield rung
    publish_through(before)


@pytest.fixture
def ada(committed_database) -> User:
    with session_scope() as session:
        return factories.user(session, email="Ada@example.com", name="Ada")


def ask(email: str = "ada@EXAMPLE.com", *, lost: bool = False) -> UUID:
    with session_scope() as session:
        reset_id = password_resets.ask(session, email, "127.0.0.1").id
    if not lost:
        tasks.answer_reset(str(reset_id))
    return reset_id


def time_passes() -> None:
    with session_scope() as session:
        session.execute(text("UPDATE password_resets SET created_at = created_at - interval '1 minute'"))
        session.execute(text("UPDATE notifications SET next_try_at = now() WHERE sent_at IS NULL"))


def links(catcher: MailCatcher) -> list[str]:
    """The tokens that were mailed."""
    words = [word for mail in catcher.mails for word in mail.text.split()]
    return [word.removeprefix(f"{APP}/reset-password#") for word in words if word.startswith(APP)]


def opens(token: str) -> bool:
    try:
        with session_scope() as session:
            return password_resets.holder(session, token) is not None
    except ResetTokenInvalid:
        return False


class TestReset:
    def test_a_link_goes_to_the_account_that_has_the_address(self, ada, bells, catcher):
        ask()
        [mail] = catcher.mails
        assert mail.to == ("Ada@example.com",)
        [token] = links(catcher)
        assert len(token) >= 43
        assert opens(token)

    def test_nobody_gets_a_mail_that_has_no_account(self, ada, bells, catcher):
        ask("eve@example.com")
        assert (bells, catcher.mails) == ([], [])
        with session_scope() as session:
            assert session.scalar(select(func.count()).select_from(PasswordReset)) == 0

    def test_the_token_is_in_the_mail_and_nowhere_else(self, ada, bells, catcher):
        with structlog.testing.capture_logs() as logged:
            ask()
        [token] = links(catcher)
        with session_scope() as session:
            tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
            stored = {table: str(session.scalars(text(f"SELECT t::text FROM {table} t")).all()) for table in tables}
        assert "resetId" in stored["notifications"]
        assert [table for table, rows in stored.items() if token in rows or token.encode().hex() in rows] == []
        assert token not in str(bells) + str(logged)

    def test_a_mail_that_is_sent_again_has_a_token_that_works_and_the_one_before_does_not(self, ada, bells, catcher):
        catcher.failures.append("hang up")  # after it took the mail: it may have arrived
        ask()
        time_passes()
        tasks.notification_sweep()
        first, second = links(catcher)
        assert (opens(first), opens(second)) == (False, True)
        assert len({mail.message["Message-ID"] for mail in catcher.mails}) == 2  # so that readers show the second

    def test_a_mail_that_comes_late_does_not_void_the_link_of_a_newer_wish(self, ada, bells, catcher):
        catcher.failures.append("451 later")
        ask()
        time_passes()
        ask()
        tasks.notification_sweep()
        assert opens(links(catcher)[-1])
        with session_scope() as session:
            ends = session.scalars(select(Notification.status).order_by(Notification.created_at)).all()
        assert ends == [NotificationStatus.FAILED, NotificationStatus.SENT]

    def test_a_wish_whose_doorbell_was_lost_is_found(self, ada, bells, catcher):
        ask(lost=True)
        tasks.notification_sweep()
        assert catcher.mails == []
        time_passes()
        tasks.notification_sweep()
        assert len(links(catcher)) == 1

    def test_ringing_twice_sends_one_mail(self, ada, bells, catcher):
        reset_id = ask()
        tasks.answer_reset(str(reset_id))
        assert len(catcher.mails) == 1


def test_the_old_address_is_told_of_a_new_one(ada, bells, catcher):
    with session_scope() as session:
        accounts.change_profile(session, session.get_one(User, ada.id), email="new@example.com")
    tasks.notification_sweep()
    [mail] = catcher.mails
    assert mail.to == ("Ada@example.com",)
    assert "new@example.com" in mail.text
