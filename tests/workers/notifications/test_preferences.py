"""The sender leaves out what a user turned off, and mails have links that turn such mails off."""

import re
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from models.db import session_scope
from models.services.notifications import notifications, preferences
from models.services.notifications.preferences import Choice
from models.tables import Channel, Notification, NotificationKind, NotificationStatus, NotificationTopic, User
from simulators.mail.catcher import running_mail_catcher
from simulators.mail.caught import MailCatcher
from tests.support import factories
from workers.gateways.mail import MailGateway
from workers.gateways.push import PushGateway
from workers.notifications.sender import Sender

API = "https://a-rather-long-name.of-an-api-below-a-path.agentforge.example/service/v1"
CONSOLE = "https://console.agentforge.example"


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    with running_mail_catcher() as catcher:
        yield catcher


@pytest.fixture
def sender(catcher: MailCatcher, committed_database: str) -> Sender:
    mail = MailGateway(catcher.smtp_url, "AgentForge <no-reply@agentforge.example>", seconds=2)
    return Sender(mail, PushGateway(catcher.url, seconds=2), app_url=API, pages_url=CONSOLE)


@pytest.fixture
def user(committed_database: str) -> User:
    with session_scope() as session:
        user = factories.user(session, name="Ada")
        notifications.add_device(session, user.id, "ExponentPushToken[ada]")
        return user


def told(user: User, kind: NotificationKind, **payload: object) -> list[UUID]:
    with session_scope() as session:
        return list(notifications.add(session, user.id, kind, payload, key=f"test:{uuid4()}"))


def turn_off(user: User, topic: NotificationTopic, channel: Channel) -> None:
    with session_scope() as session:
        preferences.change(session, user.id, [Choice(topic, channel, False, "x")])


def row(notification_id: UUID) -> Notification:
    with session_scope() as session:
        return session.get_one(Notification, notification_id)


def test_what_was_turned_off_after_it_was_written_is_not_sent(sender, catcher, user):
    mail, push = told(user, NotificationKind.LOW_BALANCE, available="2.00")
    turn_off(user, NotificationTopic.LOW_BALANCE, Channel.EMAIL)
    assert [sender.send(mail), sender.send(push)] == [False, True]
    assert (catcher.mails, len(catcher.pushes)) == ([], 1)
    assert (row(mail).status, row(mail).error) == (
        NotificationStatus.FAILED,
        "not_wanted: The user turned these messages off.",
    )


def test_failed_runs_and_finished_runs_are_turned_off_apart(sender, catcher, user):
    turn_off(user, NotificationTopic.RUN_FINISHED, Channel.EMAIL)
    for status in ("success", "cancelled", "failed"):
        mail, _ = told(user, NotificationKind.RUN_FINISHED, status=status, workflowName="Letters")
        sender.send(mail)
    assert [mail.subject for mail in catcher.mails] == ["A run failed"]


@pytest.mark.parametrize("kind", list(NotificationKind))
def test_every_kind_is_sent_or_muted_by_its_topic(sender, user, kind):
    topic = preferences.topic_of(kind, {})
    required = preferences.TOPICS[topic].required
    for channel in Channel:
        with session_scope() as session:
            message = Notification(user_id=user.id, kind=kind, channel=channel, payload={}, key=str(uuid4()))
            if channel in required:
                assert not preferences.is_muted(session, message)
                assert preferences.unsubscribe_token(session, message) is None
            else:
                preferences.change(session, user.id, [Choice(topic, channel, False, "x")])
                assert preferences.is_muted(session, message)


def test_a_mail_can_be_stopped_by_one_click(sender, catcher, user):
    mail, _ = told(user, NotificationKind.APPROVAL_NEEDED, workflowName="Letters", message="Send it?")
    sender.send(mail)
    [caught] = catcher.mails
    header = str(caught.message["List-Unsubscribe"])
    found = re.fullmatch(rf"<{re.escape(API)}/unsubscribe\?token=(\S+)>", header)
    assert found is not None, header
    assert caught.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"{CONSOLE}/unsubscribe#{found[1]}" in caught.text
    with session_scope() as session:
        assert preferences.unsubscribe(session, found[1]) is NotificationTopic.APPROVAL_NEEDED
    mail, push = told(user, NotificationKind.APPROVAL_NEEDED, workflowName="Letters", message="Send it?")
    assert [sender.send(mail), sender.send(push)] == [False, True]


def test_a_receipt_cannot_be_stopped(sender, catcher, user):
    mail, _ = told(user, NotificationKind.PURCHASE, credits="550.00", amountCents=3999)
    sender.send(mail)
    [caught] = catcher.mails
    assert caught.message["List-Unsubscribe"] is None
    assert "unsubscribe" not in caught.text


def test_links_of_one_topic_are_the_same_in_every_mail(sender, catcher, user):
    for _ in range(2):
        mail, _ = told(user, NotificationKind.LOW_BALANCE, available="2.00")
        sender.send(mail)
    assert len({str(caught.message["List-Unsubscribe"]) for caught in catcher.mails}) == 1
