"""Mails about an account: the link for a new password is made when its mail is sent, and is nowhere else."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest
import structlog
from sqlalchemy import func, select, text

from models.db import session_scope
from models.services.accounts import accounts, addresses, password_resets
from models.services.accounts.email_links import LinkInvalid
from models.services.accounts.password_resets import ResetTokenInvalid
from models.tables import Notification, NotificationStatus, PasswordReset, User
from simulators.mail.catcher import running_mail_catcher
from simulators.mail.caught import Caught, MailCatcher
from tasks import notifications as tasks
from tasks.queue import TaskMessage, TaskName, set_publisher
from tests.support import factories
from workers.gateways.mail import MailGateway
from workers.gateways.push import PushGateway
from workers.notifications.sender import Sender

APP = "https://api.agentforge.example"


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    with running_mail_catcher() as catcher:
        yield catcher


@pytest.fixture
def bells(catcher, committed_database, monkeypatch) -> Iterator[list[TaskMessage]]:
    """The task messages that were published, each answered by a worker at once."""
    mail = MailGateway(catcher.smtp_url, "AgentForge <no-reply@agentforge.example>", seconds=2)
    sender = Sender(mail, PushGateway(catcher.url, seconds=2), app_url=APP + "/")
    monkeypatch.setattr(tasks, "sender", lambda: sender)
    enqueued: list[TaskMessage] = []

    def answer(message: TaskMessage) -> None:
        enqueued.append(message)
        {TaskName.SEND_RESET_MAIL: tasks.send_reset_mail, TaskName.SEND_NOTIFICATION: tasks.send_notification}[
            message.task
        ](**message.ids)

    before = set_publisher(answer)
    yield enqueued
    set_publisher(before)


@pytest.fixture
def ada(committed_database) -> User:
    with session_scope() as session:
        return factories.user(session, email="Ada@example.com", name="Ada")


def ask(email: str = "ada@EXAMPLE.com", *, lost: bool = False) -> UUID:
    with session_scope() as session:
        reset_id = password_resets.request_reset(session, email, "127.0.0.1").id
    if not lost:
        tasks.send_reset_mail(str(reset_id))
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

    def test_leads_to_the_console_where_there_is_one(self, ada, bells, catcher, monkeypatch):
        mail = MailGateway(catcher.smtp_url, "AgentForge <no-reply@agentforge.example>", seconds=2)
        push, console = PushGateway(catcher.url, seconds=2), f"{APP}/console/"
        monkeypatch.setattr(tasks, "sender", lambda: Sender(mail, push, app_url=APP, pages_url=console))
        ask()
        assert links(catcher)[0].startswith(f"{APP}/console/reset-password#")

    def test_an_address_without_an_account_gets_no_mail(self, ada, bells, catcher):
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

    def test_a_repeated_mail_has_a_new_token_and_the_old_one_is_void(self, ada, bells, catcher):
        catcher.failures.append("hang up")  # after it took the mail: it may have arrived
        ask()
        time_passes()
        tasks.notification_sweep()
        first, second = links(catcher)
        assert (opens(first), opens(second)) == (False, True)
        assert len({mail.message["Message-ID"] for mail in catcher.mails}) == 2  # so that readers show the second

    def test_a_mail_that_comes_late_does_not_void_the_link_of_a_newer_request(self, ada, bells, catcher):
        catcher.failures.append("451 later")
        ask()
        time_passes()
        ask()
        tasks.notification_sweep()
        assert opens(links(catcher)[-1])
        with session_scope() as session:
            ends = session.scalars(select(Notification.status).order_by(Notification.created_at)).all()
        assert ends == [NotificationStatus.FAILED, NotificationStatus.SENT]

    def test_a_request_whose_message_was_lost_is_found(self, ada, bells, catcher):
        ask(lost=True)
        tasks.notification_sweep()
        assert catcher.mails == []
        time_passes()
        tasks.notification_sweep()
        assert len(links(catcher)) == 1

    def test_enqueuing_twice_sends_one_mail(self, ada, bells, catcher):
        reset_id = ask()
        tasks.send_reset_mail(str(reset_id))
        assert len(catcher.mails) == 1


class TestAddresses:
    def test_the_link_proves_the_address_and_the_old_one_may_take_itself_back(self, ada, bells, catcher):
        with session_scope() as session:
            addresses.change_profile(session, ada.id, email="new@example.com")
        tasks.notification_sweep()
        [asked] = catcher.mails
        assert (asked.to, "Hello," in asked.text) == (("new@example.com",), True)
        with session_scope() as session:
            addresses.verify(session, link(asked, "verify"), welcome_credits=lambda _: Decimal(0))
        tasks.notification_sweep()
        [_, told] = catcher.mails
        assert told.to == ("Ada@example.com",)
        assert "new@example[.]com" in told.text
        with session_scope() as session:
            assert addresses.undo(session, link(told, "undo-email")).email == "Ada@example.com"

    def test_a_mail_to_an_unverified_address_contains_no_name(self, bells, catcher):
        with session_scope() as session:
            user = accounts.register(session, email="victim@example.com", password_hash="!", name="You won a prize")
            addresses.welcome(session, user)
        tasks.notification_sweep()
        ask("victim@example.com")
        assert [mail.to for mail in catcher.mails] == [("victim@example.com",)] * 2
        assert [mail.subject for mail in catcher.mails if "prize" in mail.text] == []

    def test_a_mail_that_is_sent_again_voids_the_link_before(self, bells, catcher):
        catcher.failures.append("hang up")
        with session_scope() as session:
            user = accounts.register(session, email="ada@example.com", password_hash="!", name="Ada")
            addresses.welcome(session, user)
        tasks.notification_sweep()
        time_passes()
        tasks.notification_sweep()
        first, second = (link(mail, "verify") for mail in catcher.mails)
        with session_scope() as session, pytest.raises(LinkInvalid):
            addresses.verify(session, first, welcome_credits=lambda _: Decimal(0))
        with session_scope() as session:
            assert addresses.verify(session, second, welcome_credits=lambda _: Decimal(0)).email_verified_at


def link(mail: Caught, page: str) -> str:
    [word] = [word for word in mail.text.split() if word.startswith(APP)]
    return word.removeprefix(f"{APP}/{page}#")
